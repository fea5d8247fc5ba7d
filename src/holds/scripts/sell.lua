-- Turns a hold into a sale: the stock stays taken, and nobody looks at the basket's deadline again.
-- KEYS[1]     deadlines of the partition
-- KEYS[2]     hold of the basket
-- ARGV[1]     member of the deadlines
-- Outcomes:   sold | unknown_hold
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('DEL', KEYS[2]) == 0 then
  return 'unknown_hold'
end
return 'sold'
