-- Makes baskets known that are not, when Redis is built anew. Does what settle does, and quicker: what the baskets take
-- together comes summed up by stock row.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     what they take: "<shop>/ <stock> <quantity> …"
-- ARGV[3...]  per basket: "<shop>/<basket>", its hold, and its deadline in Unix milliseconds
-- Outcomes:   filled | known, when one of the baskets is: then nothing is done
local members, holds, deadlines = {}, {}, {}
for i = 3, #ARGV, 3 do
  members[#members + 1] = ARGV[i]
  holds[#holds + 1], holds[#holds + 2] = ARGV[i], ARGV[i + 1]
  deadlines[#deadlines + 1], deadlines[#deadlines + 2] = ARGV[i + 2], ARGV[i]
end
for _, known in ipairs(redis.call('HMGET', KEYS[2], unpack(members))) do
  if known then
    return { 'known' }
  end
end

for shop, stock, quantity in string.gmatch(ARGV[2], '(%S+) (%S+) (%d+)') do
  local row = row_of(shop, stock)
  if row then
    row.held = row.held + tonumber(quantity)
  end
end

write_rows()
redis.call('HSET', KEYS[2], unpack(holds))
redis.call('ZADD', KEYS[1], unpack(deadlines))
return { 'filled' }
