--- Keys of the insert mode. Each acts while there is something to act on; else what was mapped before it does.

local menu = require("flash_ls.menu")
local options = require("flash_ls.options")
local session = require("flash_ls.session")

local M = {}

local EARLIER = "<Plug>(flash-ls-earlier)"
local MARK = "flash_ls: "

local earlier = {} ---@type table<integer, table<string, table<string, any>>> buffer-local mappings that ours replaced

---@param key string
---@return string
local function raw(key)
  return vim.api.nvim_replace_termcodes(key, true, true, true)
end

---@param mappings table<string, any>[]
---@param key string
---@return table<string, any>?
local function find(mappings, key)
  return vim.iter(mappings):find(function(mapping)
    return mapping.lhsraw == raw(key) or mapping.lhsrawalt == raw(key)
  end)
end

--- Put what a key did before under a name of its own.
---@param mapping table<string, any>
local function name_earlier(mapping)
  local expr = mapping.expr == 1
  vim.api.nvim_set_keymap("i", EARLIER, mapping.rhs or "", {
    callback = mapping.callback,
    expr = expr,
    noremap = mapping.noremap == 1,
    replace_keycodes = expr and mapping.replace_keycodes == 1 or nil,
    script = mapping.script == 1,
    silent = mapping.silent == 1,
  })
end

--- The keys that do what the key did before. An Alt key that did nothing would leave the insert mode.
---@param buffer integer
---@param key string
---@return string
local function fall_back(buffer, key)
  local mapping = (earlier[buffer] or {})[key] or find(vim.api.nvim_get_keymap("i"), key)
  if not mapping and key:upper():match("^<[MA]%-") then
    return ""
  end
  name_earlier(mapping or { rhs = key, noremap = 1 })
  return EARLIER
end

--- Whether a key would act now.
---@param action flash_ls.Action
---@return boolean
local function acts(action)
  if action == "trigger" then
    return true
  end
  local current = session.current()
  return current ~= nil and not (action == "accept" and menu.selection(current.before))
end

--- Map a key in a buffer; `press` returns what is to be typed, or nil to do what the key did before.
---@param buffer integer
---@param action flash_ls.Action
---@param key string
---@param press fun(): string?
function M.bind(buffer, action, key, press)
  local before = find(vim.api.nvim_buf_get_keymap(buffer, "i"), key)
  if before and not vim.startswith(before.desc or "", MARK) then
    earlier[buffer] = vim.tbl_extend("force", earlier[buffer] or {}, { [key] = before })
  end
  vim.keymap.set("i", key, function()
    return press() or fall_back(buffer, key)
  end, { buffer = buffer, expr = true, remap = true, silent = true, desc = MARK .. action })
end

--- Map the keys of the options in a buffer.
---@param buffer integer
function M.map(buffer)
  for action, key in pairs(options.current.keys or {}) do
    if key then
      M.bind(buffer, action, key, function()
        return acts(action) and ("<Cmd>lua require('flash_ls').%s()<CR>"):format(action) or nil
      end)
    end
  end
end

return M
