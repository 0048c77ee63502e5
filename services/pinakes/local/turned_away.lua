-- SPDX-License-Identifier: Apache-2.0
-- Remembers at the front door whom a server has just refused for going beyond a rate, and until when: what the same
-- caller asks of the same method before then is refused here, without a server (docs/decisions/0015). Each of Envoy's
-- threads remembers for itself.

local MOST = 5000        -- callers at most; of others servers are asked each time
local LONGEST = 2048     -- characters of a method and a credential
local LONGEST_MS = 500   -- a limit that was raised isn't held against anybody for longer
local SWEEP_MS = 1000    -- credentials whose time is over aren't kept for longer
local HOLD = "pinakes"

local closed, count, swept = {}, 0, 0
math.randomseed(os.time() + tonumber(string.match(tostring(closed), "0x(%x+)") or "0", 16) % 2147483647)

local function now_ms(handle)
  return tonumber(handle:timestamp(EnvoyTimestampResolution.MILLISECOND))
end

local function forget(key)
  closed[key] = nil
  count = count - 1
end

-- Whether a caller is turned away now. A clock that was put back ends it.
local function waits(one, now)
  local left = one.until_ms - now
  return left > 0 and left <= LONGEST_MS
end

local function has_room(now)
  if now >= swept + SWEEP_MS or now < swept then
    swept = now
    for key, one in pairs(closed) do
      if not waits(one, now) then forget(key) end
    end
  end
  return count < MOST
end

-- One spelling of a credential is one caller, as servers read it; anything else is theirs to refuse.
local function caller(headers)
  local scheme, token = string.match(headers:get("authorization") or "", "^(%a+) +(%S+)$")
  if scheme == nil or string.lower(scheme) ~= "bearer" then return nil end
  local key = headers:get(":path") .. " " .. token
  return #key <= LONGEST and key or nil
end

local function request_id(given)
  if given ~= nil and #given >= 8 and #given <= 64 and string.match(given, "^[%w._-]+$") then return given end
  local made = {}
  for i = 1, 24 do made[i] = string.format("%x", math.random(0, 15)) end
  return table.concat(made)
end

local function varint(value)
  local made = ""
  while value >= 128 do
    made = made .. string.char(value % 128 + 128)
    value = math.floor(value / 128)
  end
  return made .. string.char(value)
end

local function field(number, value)
  return string.char(number * 8 + 2) .. varint(#value) .. value
end

local function detail(name, value)
  return field(3, field(1, "type.googleapis.com/google.rpc." .. name) .. field(2, value))
end

-- A google.rpc.Status with the time that is left and the request's own id: fields may follow one another in any order.
local function status_of(one, now, id)
  local ms = math.max(1, one.again_ms - now)
  local delay = "\8" .. varint(math.floor(ms / 1000)) .. "\16" .. varint(ms % 1000 * 1000000)
  return one.status .. detail("RetryInfo", field(1, delay)) .. detail("RequestInfo", field(1, id))
end

local function turn_away(handle, one, now)
  local id = request_id(handle:headers():get("x-request-id"))
  local answer = {
    -- In gRPC's form for JSON too: the filters before this one make of it what its caller understands.
    [":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = "8", ["x-request-id"] = id,
    ["grpc-status-details-bin"] = handle:base64Escape(status_of(one, now, id)),
  }
  for name, value in pairs(one.told) do answer[name] = value end
  one.times = one.times + 1
  handle:respond(answer, "")
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-pinakes-turned-away")
  local key = caller(headers)
  if key == nil then return end
  -- An answer before the body ends a connection of HTTP/1; of JSON the body is here already.
  if headers:get("x-envoy-original-path") == nil and handle:streamInfo():protocol() ~= "HTTP/2" then return end
  local one = closed[key]
  if one ~= nil then
    local now = now_ms(handle)
    if waits(one, now) then return turn_away(handle, one, now) end
    forget(key)
    if one.times > 0 then headers:add("x-pinakes-turned-away", one.times .. " " .. one.limit) end
  end
  handle:streamInfo():dynamicMetadata():set(HOLD, "caller", key)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local said = headers:get("x-pinakes-closed")
  if said == nil then return end
  local status = string.gsub(headers:get("x-pinakes-closed-status") or "", "%x%x", function(two)
    return string.char(tonumber(two, 16))
  end)
  headers:remove("x-pinakes-closed")
  headers:remove("x-pinakes-closed-status")
  local metadata = handle:streamInfo():dynamicMetadata():get(HOLD)
  local ms, limit = string.match(said, "^(%d+) ([%w_]+)$")
  if metadata == nil or ms == nil then return end
  local key, now = metadata["caller"], now_ms(handle)
  local room, before = has_room(now), closed[key]
  if before == nil then
    if not room then return end
    count = count + 1
  end
  local told = {}
  for _, name in ipairs({"grpc-message", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}) do
    told[name] = headers:get(name)
  end
  closed[key] = {
    until_ms = now + math.min(tonumber(ms), LONGEST_MS), again_ms = now + tonumber(ms), limit = limit, told = told,
    status = status, times = before ~= nil and before.times or 0,
  }
end
