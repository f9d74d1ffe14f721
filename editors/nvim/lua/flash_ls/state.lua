--- What the server does, for the statusline: as it says itself, or as far as it can be seen from here.

local switch = require("flash_ls.switch")

---@alias flash_ls.StateName "off"|"starting"|"loading"|"ready"|"thinking"|"error"

---@class flash_ls.State
---@field state flash_ls.StateName
---@field reason string
---@field message string

local M = {}

--- The reason of a request that went well.
local SHOWN = "shown"

---@type flash_ls.State
local current = { state = "off", reason = "no file yet", message = "" }

---@param state flash_ls.StateName
---@param reason? string a word or two
---@param message? string a sentence
function M.set(state, reason, message)
  current = { state = state, reason = reason or "", message = message or "" }
  vim.cmd.redrawstatus()
end

--- Take what the server says (flashLs/status).
---@param params any
function M.hear(params)
  local told = type(params) == "table" and params or {}
  if type(told.state) == "string" then
    local reason = type(told.reason) == "string" and told.reason or ""
    M.set(told.state, reason, type(told.message) == "string" and told.message or "")
  end
end

---@return flash_ls.State
function M.get()
  local off = switch.reason()
  return off and { state = "off", reason = off, message = "" } or current
end

--- One short piece of text for a statusline.
---@return string
function M.text()
  local now = M.get()
  local plain = now.reason == "" or now.reason == now.state or now.reason == SHOWN
  local reason = plain and "" or (" (%s)"):format(now.reason)
  return "flash: " .. now.state .. reason
end

return M
