--- Whether suggestions are wanted now: on, off, or snoozed for some minutes.

local M = {}

local enabled = true
local awake_at = 0 -- milliseconds of the event loop's clock

---@return boolean
function M.enabled()
  return enabled
end

---@param on boolean
function M.enable(on)
  enabled, awake_at = on, 0
end

---@param minutes number
function M.snooze(minutes)
  awake_at = vim.uv.now() + minutes * 60000
end

--- Why there are no suggestions, if there are none.
---@return string?
function M.reason()
  if not enabled then
    return "disabled"
  end
  local left = awake_at - vim.uv.now()
  return left > 0 and ("snoozed for %d min"):format(math.ceil(left / 60000)) or nil
end

return M
