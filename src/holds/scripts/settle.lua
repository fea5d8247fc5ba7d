-- Makes Redis agree that baskets hold their stock until their deadlines, whatever it knew of them before. A message that
-- is older than what is known, by the basket's version, changes nothing, so that messages may overtake each other.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per basket: "<shop>/<basket>", version, deadline in Unix milliseconds, takes "<stock>=<quantity> …"
-- Outcomes:   settled
local newer = {}
for i = 2, #ARGV, 4 do
  local member, version, deadline, takes = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local state, known, before = hold_of(member)
  if not (state == 'held' and tonumber(known) > version) then
    if state then
      count(member, before, state, -1)
    end
    count(member, takes, 'held', 1)
    newer[#newer + 1] = { member, 'held ' .. version .. ' ' .. takes, deadline }
  end
end

write_rows()
for _, hold in ipairs(newer) do
  redis.call('HSET', KEYS[2], hold[1], hold[2])
  redis.call('ZADD', KEYS[1], hold[3], hold[1])
end
return { 'settled' }
