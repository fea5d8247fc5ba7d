-- Empties the partition and begins an epoch in it. Not fenced; a caller of an older epoch than the present one is late.
-- KEYS[1]     deadlines
-- KEYS[2]     holds
-- KEYS[3]     stock
-- ARGV[1]     the epoch to begin
-- Outcomes:   reset | stale_epoch
for _, key in ipairs({ KEYS[2], KEYS[3] }) do
  local epoch = redis.pcall('HGET', key, '@epoch')
  if type(epoch) == 'string' and tonumber(epoch) > tonumber(ARGV[1]) then
    return { 'stale_epoch' }
  end
end

redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZADD', KEYS[1], '-' .. ARGV[1], '@epoch')
redis.call('HSET', KEYS[2], '@epoch', ARGV[1])
redis.call('HSET', KEYS[3], '@epoch', ARGV[1])
return { 'reset' }
