-- Stands before every script that is fenced. A partition has three keys, each with the epoch that it was built in: when
-- one is lost, or of another epoch or type, the whole partition is not to be trusted, and the script does nothing.
-- KEYS[1]     deadlines: baskets by the time to look at them, in Unix milliseconds
-- KEYS[2]     holds: "<shop>/<basket>" to "<state> <version> <link> <stock>=<quantity> …", state admitted, which has no
--             link, or held, or "cold <number>" for one that is not known but was asked for
-- KEYS[3]     stock: "<shop>/<stock>" to "<capacity> <held> <admitted> <sold>", and "<shop>/event:<event>" for events
--             that are stopped
-- ARGV[1]     epoch of the caller
-- Outcomes:   stale_epoch
if redis.pcall('HGET', KEYS[2], '@epoch') ~= ARGV[1]
  or redis.pcall('HGET', KEYS[3], '@epoch') ~= ARGV[1]
  or redis.pcall('ZSCORE', KEYS[1], '@epoch') ~= '-' .. ARGV[1] then
  return { 'stale_epoch' }
end

-- The rows that this run has counted on, to be written when everything has been read: nothing is rolled back.
local rows = {}

-- A stock row, or nil when it is not known here. No capacity: unlimited.
local function row_of(shop, stock)
  local name = shop .. stock
  if rows[name] == nil then
    local text = redis.call('HGET', KEYS[3], name) or ''
    local capacity, held, admitted, sold = string.match(text, '^(%S+) (%-?%d+) (%-?%d+) (%-?%d+)$')
    rows[name] = capacity and {
      capacity = tonumber(capacity),
      held = tonumber(held),
      admitted = tonumber(admitted),
      sold = tonumber(sold),
    } or false
  end
  return rows[name] or nil
end

-- Adds what a basket takes to one of the counts of its rows. Rows that are not known here are left out.
local function count(member, takes, name, sign)
  local shop = string.match(member, '^[^/]+/')
  for stock, quantity in string.gmatch(takes, '([^ =]+)=(%d+)') do
    local row = row_of(shop, stock)
    if row then
      row[name] = row[name] + sign * tonumber(quantity)
    end
  end
end

-- The state and version of a basket's hold, and what it takes with its link before it, or nothing.
local function parse_hold(text)
  return string.match(text or '', '^(%a+) (%d+) ?(.*)$')
end

local function hold_of(member)
  return parse_hold(redis.call('HGET', KEYS[2], member))
end

local function write_rows()
  for name, row in pairs(rows) do
    if row then
      local counts = string.format(' %d %d %d', row.held, row.admitted, row.sold)
      redis.call('HSET', KEYS[3], name, (row.capacity and string.format('%d', row.capacity) or 'unlimited') .. counts)
    end
  end
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

