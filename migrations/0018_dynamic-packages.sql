-- The packages that a back end has made for one basket of the web store. Each sells an item of its own, which has the name
-- and price; what was replaced has an item that is off sale, and no row here. No foreign keys to baskets and items: rows of
-- neither are ever deleted, and making the keys would lock both tables.
CREATE TABLE tebex_dynamic_packages (
  shop_id    text COLLATE "C" NOT NULL,
  basket_id  text COLLATE "C" NOT NULL,
  slug       text COLLATE "C" NOT NULL,
  item_id    text COLLATE "C" NOT NULL,
  category   text COLLATE "C" NOT NULL,              -- 'event:<id>', 'pool:<id>' or 'none'
  position   integer NOT NULL,                       -- in the order in which they were given
  custom     json NOT NULL,
  PRIMARY KEY (shop_id, basket_id, slug)
);
