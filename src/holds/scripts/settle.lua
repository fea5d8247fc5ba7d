-- Makes Redis agree that baskets hold their stock until their deadlines, and what their links are, whatever it knew of
-- them before. A message that is older than what is known, by the basket's version, changes nothing, so that messages may
-- overtake each other; nor does one that asks for something to be here that is not.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per basket: "<shop>/<basket>", version, deadline in Unix milliseconds, "<link> <stock>=<quantity> …",
--             what must be here: "anything", a "known" hold, or this very text
-- Outcomes:   settled
local newer = {}
for i = 2, #ARGV, 5 do
  local member, version, deadline, hold = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local seen = ARGV[i + 4]
  local state, known, before = hold_of(member)
  local isKnown = state == 'held' or state == 'admitted'
  local asked = seen == 'anything' or seen == 'known' and isKnown or seen == redis.call('HGET', KEYS[2], member)
  if asked and not (state == 'held' and tonumber(known) > version) then
    if state then
      count(member, before, state, -1)
    end
    count(member, hold, 'held', 1)
    newer[#newer + 1] = { member, 'held ' .. version .. ' ' .. hold, deadline }
  end
end

write_rows()
for _, hold in ipairs(newer) do
  redis.call('HSET', KEYS[2], hold[1], hold[2])
  redis.call('ZADD', KEYS[1], hold[3], hold[1])
end
return { 'settled' }
