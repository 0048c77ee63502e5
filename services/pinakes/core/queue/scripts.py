# SPDX-License-Identifier: Apache-2.0
"""What must happen in the queue all at once, as Lua: enqueueing with its claims and counts, acknowledging, leasing."""

from __future__ import annotations

# KEYS: documents, bytes, since, applied, request or '', position or '', partitions, then the stream of each entry.
# ARGV: tenant, documents, bytes, tenant's bytes at most, all bytes at most, age in ms at most, the request's value and
# seconds, the sequence and the position's seconds, the number of partitions, until when the caller waits (ms), then the
# entries. Answers {'ok'}, {'request', value}, {'position', last}, {'partitions', number}, {'late'} or {'full', why}.
ENQUEUE = """
local tenant, documents, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- A command that waited in Redis's socket for longer than its caller must do nothing: the caller was told that it failed,
-- and may have written something else since.
if now > tonumber(ARGV[12]) then return {'late'} end
if KEYS[5] ~= '' then
  local seen = redis.call('GET', KEYS[5])
  if seen then return {'request', seen} end
end
if KEYS[6] ~= '' then
  local last = tonumber(redis.call('GET', KEYS[6]) or '0')
  if tonumber(ARGV[9]) <= last then return {'position', tostring(last)} end
end
local known = redis.call('GET', KEYS[7])
if known ~= ARGV[11] then
  -- A document's writes must stay in one partition, so their number changes only while there are none.
  if known and tonumber(redis.call('HGET', KEYS[1], '*') or '0') > 0 then return {'partitions', known} end
  redis.call('SET', KEYS[7], ARGV[11])
end
local queued = tonumber(redis.call('HGET', KEYS[1], tenant) or '0')
local mine = tonumber(redis.call('HGET', KEYS[2], tenant) or '0')
local all = tonumber(redis.call('HGET', KEYS[2], '*') or '0')
if mine > 0 and mine + bytes > tonumber(ARGV[4]) then return {'full', 'tenant'} end
if all > 0 and all + bytes > tonumber(ARGV[5]) then return {'full', 'all'} end
if queued > 0 then
  local since = tonumber(redis.call('HGET', KEYS[3], tenant) or now)
  local applied = tonumber(redis.call('HGET', KEYS[4], tenant) or '0')
  if now - math.max(since, applied) > tonumber(ARGV[6]) then return {'full', 'age'} end
else
  redis.call('HSET', KEYS[3], tenant, now)
end
for i = 8, #KEYS do
  redis.call('XADD', KEYS[i], '*', 't', tenant, 'e', ARGV[i + 5])
end
redis.call('HINCRBY', KEYS[1], tenant, documents)
redis.call('HINCRBY', KEYS[1], '*', documents)
redis.call('HINCRBY', KEYS[2], tenant, bytes)
redis.call('HINCRBY', KEYS[2], '*', bytes)
if KEYS[5] ~= '' then redis.call('SET', KEYS[5], ARGV[7], 'EX', ARGV[8]) end
if KEYS[6] ~= '' then redis.call('SET', KEYS[6], ARGV[9], 'EX', ARGV[10]) end
return {'ok'}
"""

# KEYS: stream, documents, bytes, since, applied. ARGV: group, then entry id, tenant, documents, bytes, accepted (ms) of each.
# An entry counts once, however often it is acknowledged: a worker that was thought dead may come back.
ACKNOWLEDGE = """
local done = 0
for i = 2, #ARGV, 5 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    redis.call('XDEL', KEYS[1], ARGV[i])
    local tenant, documents, bytes = ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local left = redis.call('HINCRBY', KEYS[2], tenant, -documents)
    redis.call('HINCRBY', KEYS[2], '*', -documents)
    redis.call('HINCRBY', KEYS[3], tenant, -bytes)
    redis.call('HINCRBY', KEYS[3], '*', -bytes)
    if left <= 0 then
      redis.call('HDEL', KEYS[2], tenant)
      redis.call('HDEL', KEYS[3], tenant)
      redis.call('HDEL', KEYS[4], tenant)
      redis.call('HDEL', KEYS[5], tenant)
    else
      redis.call('HSET', KEYS[5], tenant, ARGV[i + 4])
    end
    done = done + 1
  end
end
return done
"""

# KEYS: position. ARGV: sequence, seconds. A position never goes back.
ADVANCE = """
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[1]) or '0') then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return 1
"""

# KEYS: lease, fence. ARGV: worker, milliseconds. Answers the fencing number, or 0 if somebody else holds it.
LEASE = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end
return 0
"""

# KEYS: lease. ARGV: worker, milliseconds. Answers 1 if the lease is still the worker's.
EXTEND = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""

# KEYS: lease. ARGV: worker.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

# KEYS: stream. ARGV: group, consumer, entry id to begin at, entries at most. Answers where to go on, 0-0 at the end.
# A script, because the client library drops where to go on when it is asked for ids only.
CLAIM = """
return redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'COUNT', ARGV[4], 'JUSTID')[1]
"""
