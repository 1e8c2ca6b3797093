-- The health of a GatewayPolicy, for Argo CD. Requests that fail are told, but are no reason to hold back the
-- rollout that mends them: health follows Ready and Stalled alone.
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for Bywash to read this generation" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

if is_true("Stalled") then
  return { status = "Degraded", message = conditions.Stalled.message }
end

local message = "Waiting for Bywash to put this generation in force"
if conditions.Ready ~= nil and conditions.Ready.message ~= "" then
  message = conditions.Ready.message
end
for _, name in ipairs({ "BadGateway", "GatewayTimeout", "Unavailable" }) do
  if is_true(name) then
    message = message .. " " .. name .. ": " .. conditions[name].message
  end
end
if is_true("Ready") then
  return { status = "Healthy", message = message }
end
return { status = "Progressing", message = message }
