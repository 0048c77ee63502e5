-- SPDX-License-Identifier: Apache-2.0
-- Remembers at the front door whom a server has just refused for going beyond a rate, and until when: what the same
-- caller asks of the same method before then is refused here, without a server (docs/decisions/0015). Each of Envoy's
-- threads remembers for itself.
--
-- It counts, too, by the address that calls come from, those that servers refuse for want of a valid credential: beyond a
-- rate callers from there are refused here, but for those whose credential has passed before.

local MOST = 5000        -- callers at most; of others servers are asked each time
local LONGEST = 2048     -- characters of a method and a credential
local LONGEST_MS = 500   -- a limit that was raised isn't held against anybody for longer
local SWEEP_MS = 1000    -- credentials whose time is over aren't kept for longer
local HOLD = "pinakes"
-- By mistake nobody needs so many; behind one address there may be many people.
local WRONG_PER_SECOND, WRONG_AT_ONCE = 50, 500
local MOST_ADDRESSES = 5000  -- of others servers are asked each time
local MOST_PASSED = 5000     -- credentials that have passed: so many of the last ones, up to twice as many
local UNAUTHENTICATED = "16"
local WRONG_TEXT = "too many calls without a valid credential come from this address; try again"

local closed, count, swept = {}, 0, 0
local struck, addresses, struck_swept = {}, 0, 0
local passed, passed_before, passing = {}, {}, 0
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

local function refuse(handle, one, now)
  local id = request_id(handle:headers():get("x-request-id"))
  local answer = {
    -- In gRPC's form for JSON too: the filters before this one make of it what its caller understands.
    [":status"] = "200", ["content-type"] = "application/grpc", ["grpc-status"] = "8", ["x-request-id"] = id,
    ["grpc-status-details-bin"] = handle:base64Escape(status_of(one, now, id)),
  }
  for name, value in pairs(one.told) do answer[name] = value end
  handle:respond(answer, "")
end

local function turn_away(handle, one, now)
  one.times = one.times + 1
  refuse(handle, one, now)
end

-- Where a call comes from, by what Envoy takes for it. Of IPv6 the network: whoever has one address there has all.
local function address_of(handle)
  local text = handle:streamInfo():downstreamRemoteAddress()
  local six = string.match(text, "^%[([^%]]*)%]")
  if six == nil then return string.match(text, "^(.*):%d+$") or text end
  local groups = {}
  for group in string.gmatch(string.match(six, "^(.-)::") or six, "%x+") do
    if #groups < 4 then groups[#groups + 1] = group end
  end
  return table.concat(groups, ":") .. "::"
end

-- How many calls without a valid credential an address has left.
local function left_of(one, now)
  return math.min(WRONG_AT_ONCE, one.left + math.max(0, now - one.at) * WRONG_PER_SECOND / 1000)
end

local function forget_address(address)
  struck[address] = nil
  addresses = addresses - 1
end

local function strike(address, now)
  local one = struck[address]
  if one == nil then
    if addresses >= MOST_ADDRESSES and (now >= struck_swept + SWEEP_MS or now < struck_swept) then
      struck_swept = now
      for other, its in pairs(struck) do
        if left_of(its, now) >= WRONG_AT_ONCE then forget_address(other) end
      end
    end
    if addresses >= MOST_ADDRESSES then return end
    one = {left = WRONG_AT_ONCE, at = now}
    struck[address] = one
    addresses = addresses + 1
  end
  -- What was under way when none was left is held against it too, for a second at most: many calls at once are no way round.
  one.left, one.at = math.max(-WRONG_PER_SECOND, left_of(one, now) - 1), now
end

-- Whether an address has no call left that may be without a valid credential.
local function is_beyond(address, now)
  local one = struck[address]
  if one == nil then return false end
  local left = left_of(one, now)
  if left >= WRONG_AT_ONCE then forget_address(address) end
  return left < 1
end

local function token_of(key)
  return string.match(key, " (%S+)$")
end

-- What is asked for by anybody says nothing of a credential that comes with it.
local function is_open(key)
  return string.find(key, "^/grpc%.") ~= nil
end

local function has_passed(token)
  return passed[token] or passed_before[token] or false
end

local function note_passed(token)
  if passed[token] then return end
  if passing >= MOST_PASSED then passed_before, passed, passing = passed, {}, 0 end
  passed[token] = true
  passing = passing + 1
end

local function forget_passed(token)
  if passed[token] then
    passed[token] = nil
    passing = passing - 1
  end
  passed_before[token] = nil
end

local function turn_address_away(handle, now)
  local status = "\8\8" .. field(2, WRONG_TEXT)
    .. detail("ErrorInfo", field(1, "ADDRESS_LIMIT_EXCEEDED") .. field(2, "pinakes"))
  refuse(handle, {again_ms = now + 1000, status = status, told = {["grpc-message"] = WRONG_TEXT}}, now)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-pinakes-turned-away")
  local key = caller(headers)
  if addresses > 0 and not is_open(headers:get(":path")) then
    local now = now_ms(handle)
    if not (key ~= nil and has_passed(token_of(key))) and is_beyond(address_of(handle), now) then
      return turn_address_away(handle, now)
    end
  end
  if key == nil then return end
  handle:streamInfo():dynamicMetadata():set(HOLD, "caller", key)
  -- An answer before the body ends a connection of HTTP/1; of JSON the body is here already.
  if headers:get("x-envoy-original-path") == nil and handle:streamInfo():protocol() ~= "HTTP/2" then return end
  local one = closed[key]
  if one ~= nil then
    local now = now_ms(handle)
    if waits(one, now) then return turn_away(handle, one, now) end
    forget(key)
    if one.times > 0 then headers:add("x-pinakes-turned-away", one.times .. " " .. one.limit) end
  end
end

-- Learn of an answer whether the call's credential is a valid one. Only what was done proves that it is: some refusals
-- come before anybody has looked at it. A server that is asked for too many keys to look one up says so (unproved).
local function learn(handle, headers, key)
  local status, unproved = headers:get("grpc-status"), headers:get("x-pinakes-unproved")
  if unproved ~= nil then headers:remove("x-pinakes-unproved") end
  if status == UNAUTHENTICATED or unproved ~= nil then
    strike(address_of(handle), now_ms(handle))
    if key ~= nil and unproved == nil then forget_passed(token_of(key)) end
  elseif key ~= nil and not is_open(key) and (status == nil or status == "0")
    and string.find(headers:get("content-type") or "", "^application/grpc") then
    note_passed(token_of(key))
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local metadata = handle:streamInfo():dynamicMetadata():get(HOLD)
  learn(handle, headers, metadata ~= nil and metadata["caller"] or nil)
  local said = headers:get("x-pinakes-closed")
  if said == nil then return end
  local status = string.gsub(headers:get("x-pinakes-closed-status") or "", "%x%x", function(two)
    return string.char(tonumber(two, 16))
  end)
  headers:remove("x-pinakes-closed")
  headers:remove("x-pinakes-closed-status")
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
