-- Reads all stock rows, all holds or all stopped events of the partition, page by page; with stock come events, too.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     holds, stock or events
-- ARGV[3]     cursor, 0 to begin
-- ARGV[4]     about how many a page
-- Outcomes:   page, then the next cursor (0 at the end) and a list of names and texts in turn
local key = ARGV[2] == 'holds' and KEYS[2] or KEYS[3]
local names = ARGV[2] == 'events' and '*/event:*' or '*'
local found = redis.call('HSCAN', key, ARGV[3], 'MATCH', names, 'COUNT', ARGV[4])
return { 'page', found[1], found[2] }
