-- Says which epoch the partition is of, and which server has it. A restarted server has another run id, a promoted
-- replica another replication id. Not fenced. Empty where there is nothing, or something of another type.
-- KEYS[1]     deadlines
-- KEYS[2]     holds
-- KEYS[3]     stock
-- Outcomes:   identity, then epoch of the deadlines, of the holds and of the stock, ready, tick, server
local function text(value)
  return type(value) == 'string' and value or ''
end
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
return {
  'identity',
  (string.gsub(text(redis.pcall('ZSCORE', KEYS[1], '@epoch')), '^-', '')),
  text(redis.pcall('HGET', KEYS[2], '@epoch')),
  text(redis.pcall('HGET', KEYS[3], '@epoch')),
  text(redis.pcall('HGET', KEYS[3], '@ready')),
  text(redis.pcall('HGET', KEYS[3], '@tick')),
  server .. ':' .. replication,
}
