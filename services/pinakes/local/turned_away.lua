-- SPDX-License-Identifier: Apache-2.0
-- Remembers at the front door whom a server has just refused for going beyond a rate, and until when: what the same
-- caller asks of the same method before then is refused here, without a server (docs/decisions/0015). Each of Envoy's
-- threads remembers for itself.

local MOST = 5000       -- callers at most; of others servers are asked each time
local LONGEST = 4096    -- characters of a method and a credential
local LONGEST_MS = 500  -- a limit that was raised isn't held against anybody for longer
local SWEEP_MS = 100    -- looking for those whose time is over takes a moment

local closed, count, swept = {}, 0, 0

local function now_ms(handle)
  return tonumber(handle:timestamp(EnvoyTimestampResolution.MILLISECOND))
end

local function full(now)
  if count < MOST or now < swept + SWEEP_MS then return count >= MOST end
  swept = now
  for key, one in pairs(closed) do
    if one.until_ms <= now then
      closed[key] = nil
      count = count - 1
    end
  end
  return count >= MOST
end

local function request_id(given)
  if given ~= nil and #given >= 8 and #given <= 64 and string.match(given, "^[%w._-]+$") then return given end
  local made = {}
  for i = 1, 24 do made[i] = string.format("%x", math.random(0, 15)) end
  return table.concat(made)
end

-- A google.rpc.Status with the request's own RequestInfo: fields of a message may follow one another in any order.
local function status_of(status, id)
  local function field(number, value) return string.char(number * 8 + 2, #value) .. value end
  return status .. field(3, field(1, "type.googleapis.com/google.rpc.RequestInfo") .. field(2, field(1, id)))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-pinakes-turned-away")
  local authorization = headers:get("authorization")
  if authorization == nil then return end
  local key = headers:get(":path") .. " " .. authorization
  local found = closed[key]
  if found ~= nil then
    if now_ms(handle) < found.until_ms then
      found.times = found.times + 1
      local id = request_id(headers:get("x-request-id"))
      local answer = {
        -- In gRPC's form for JSON too: the filters before this one make of it what its caller understands.
        [":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = "8", ["x-request-id"] = id,
        ["grpc-status-details-bin"] = handle:base64Escape(status_of(found.status, id)),
      }
      for name, value in pairs(found.answer) do answer[name] = value end
      handle:respond(answer, "")
      return
    end
    closed[key] = nil
    count = count - 1
    if found.times > 0 then headers:add("x-pinakes-turned-away", found.times .. " " .. found.limit) end
  end
  if #key <= LONGEST then handle:streamInfo():dynamicMetadata():set("pinakes", "caller", key) end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local told = headers:get("x-pinakes-closed")
  if told == nil then return end
  headers:remove("x-pinakes-closed")
  local status = string.gsub(headers:get("x-pinakes-closed-status") or "", "%x%x", function(two)
    return string.char(tonumber(two, 16))
  end)
  headers:remove("x-pinakes-closed-status")
  local metadata = handle:streamInfo():dynamicMetadata():get("pinakes")
  local ms, limit = string.match(told, "^(%d+) ([%w_]+)$")
  if metadata == nil or ms == nil then return end
  local key, now = metadata["caller"], now_ms(handle)
  local before = closed[key]
  if before == nil then
    if full(now) then return end
    count = count + 1
  end
  local answer = {}
  for _, name in ipairs({"grpc-message", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}) do
    answer[name] = headers:get(name)
  end
  local until_ms = now + math.min(tonumber(ms), LONGEST_MS)
  local times = before ~= nil and before.times or 0
  closed[key] = {until_ms = until_ms, limit = limit, times = times, answer = answer, status = status}
end
