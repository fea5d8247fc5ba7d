-- Sends the requests of a file with wrk, counts the answers by status and writes what it saw as one line of JSON.
-- Arguments:  the file, as generator.ts writes it
--             what Idempotency-Keys begin with, or "-" for requests without
--             after how many answers to end, or 0 to go on for as long as wrk was told to
--             over how many connections wrk sends
local ffi = require('ffi')
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment;
int clock_gettime(int clock, moment *now);
int getpid(void);
int kill(int process, int signal);
]]
local now = ffi.new('moment')
local function now_us()
  ffi.C.clock_gettime(1, now)
  return tonumber(now.seconds) * 1e6 + tonumber(now.nanoseconds) / 1e3
end

-- There is one thread; wrk runs `setup` and `done` in another Lua state than the rest.
local sender
function setup(thread)
  sender = thread
end

local requests, headers = {}, {}
local prefix, limit
local sent = 0
answered, started_us, ended_us, statuses, connections = 0, 0, 0, {}, 0

function init(args)
  prefix, limit, connections = args[2], tonumber(args[3]), tonumber(args[4])
  local in_head = true
  for line in io.lines(args[1]) do
    if line == '' then
      in_head = false
    elseif in_head then
      local name, value = line:match('^(.-): (.*)$')
      headers[name] = value
    else
      local method, path, body = line:match('^(%S+)\t(%S+)\t(.*)$')
      requests[#requests + 1] = { method = method, path = path, body = body ~= '' and body or nil }
    end
  end
end

function request()
  if sent == 0 then
    started_us = now_us()
  end
  local next = requests[sent % #requests + 1]
  sent = sent + 1
  if prefix ~= '-' then
    headers['idempotency-key'] = prefix .. sent
  end
  return wrk.format(next.method, next.path, headers, next.body)
end

function response(status)
  if limit > 0 and answered == limit then
    return
  end
  answered = answered + 1
  ended_us = now_us()
  local name = tostring(status)
  statuses[name] = (statuses[name] or 0) + 1
  if answered == limit then
    wrk.thread:stop()
    -- wrk itself sleeps until its time is over, unless somebody presses Ctrl-C.
    ffi.C.kill(ffi.C.getpid(), 2)
  end
end

-- How often each latency was seen. To one of twice the mean or more, wrk has added those of requests that would have
-- been sent meanwhile at an even rate (its stats_correct): they were not sent, and are taken out again, from the slowest
-- down, since each has only added to quicker ones.
local function latencies_of(summary, latency)
  local counts, seen = {}, {}
  for i = 1, #latency do
    local microseconds, count = latency(i)
    counts[microseconds] = count
    seen[i] = microseconds
  end
  local mean = math.floor(summary.duration / math.floor(summary.requests / sender:get('connections')))
  local rows = {}
  for i = #seen, 1, -1 do
    local count = counts[seen[i]]
    if count > 0 then
      rows[#rows + 1] = ('[%d,%d]'):format(seen[i], count)
      if seen[i] >= 2 * mean then
        for added = seen[i] - mean, mean + 1, -mean do
          counts[added] = counts[added] - count
        end
      end
    end
  end
  return rows
end

function done(summary, latency)
  local counted = {}
  for status, count in pairs(sender:get('statuses')) do
    counted[#counted + 1] = ('"%s":%d'):format(status, count)
  end
  local errors = summary.errors
  io.write(('\n{"statuses":{%s},"errors":%d,"elapsedMs":%.3f,"latencies":[%s]}\n'):format(
    table.concat(counted, ','),
    errors.connect + errors.read + errors.write + errors.timeout,
    (sender:get('ended_us') - sender:get('started_us')) / 1e3,
    table.concat(latencies_of(summary, latency), ',')
  ))
end
