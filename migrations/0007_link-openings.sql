-- How often start links were opened, counted aside: whoever opens a link, however often, leaves the basket's row alone.
CREATE TABLE link_openings (
  shop_id    text COLLATE "C" NOT NULL,
  basket_id  text COLLATE "C" NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('person', 'preview', 'prefetch')),
  count      integer NOT NULL,
  first_at   timestamptz(3) NOT NULL,
  last_at    timestamptz(3) NOT NULL,
  PRIMARY KEY (shop_id, basket_id, kind)
);
