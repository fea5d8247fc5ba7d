-- Makes Redis agree that baskets hold their stock until their deadlines, and what their links are, whatever it knew of
-- them before. A message that is older than what is known, by the basket's version, changes nothing, so that messages may
-- overtake each other; nor does one that asks for something to be here that is not.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per basket: "<shop>/<basket>", version, deadline in Unix milliseconds, "<link> <stock>=<quantity> …",
--             what must be here: "anything", a "known" hold, or this very text
-- Outcomes:   settled
local members = {}
for i = 2, #ARGV, 5 do
  members[#members + 1] = ARGV[i]
end
local texts = redis.call('HMGET', KEYS[2], unpack(members))
local known = {}
for at, member in ipairs(members) do
  known[member] = texts[at]
end

local holds, deadlines = {}, {}
for i = 2, #ARGV, 5 do
  local member, version, deadline, hold = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local seen = ARGV[i + 4]
  local state, knownVersion, before = parse_hold(known[member])
  local isKnown = state == 'held' or state == 'admitted'
  local asked = seen == 'anything' or seen == 'known' and isKnown or seen == known[member]
  if asked and not (state == 'held' and tonumber(knownVersion) > version) then
    if state then
      count(member, before, state, -1)
    end
    count(member, hold, 'held', 1)
    known[member] = 'held ' .. version .. ' ' .. hold
    holds[#holds + 1], holds[#holds + 2] = member, known[member]
    deadlines[#deadlines + 1], deadlines[#deadlines + 2] = deadline, member
  end
end

write_rows()
if #holds > 0 then
  redis.call('HSET', KEYS[2], unpack(holds))
  redis.call('ZADD', KEYS[1], unpack(deadlines))
end
return { 'settled' }
