--- The plugin's own options, their defaults and their checks.
--- Settings of the server are passed through; their names are known to the server alone.

---@alias flash_ls.Action "accept"|"accept_word"|"accept_line"|"next"|"previous"|"dismiss"|"trigger"

---@class flash_ls.Options
---@field cmd string[] the server; sub-commands such as `doctor` are put behind it
---@field root_markers string[] files and folders that stand at the top of a project
---@field filetypes string[]|false the only ones that are served; false: every one
---@field exclude_filetypes string[]
---@field auto boolean suggest while typing; false: by the key `trigger` alone
---@field debounce_ms integer how long a pause has to be before the server is asked
---@field use_builtin boolean let `vim.lsp.inline_completion` of Neovim 0.12 do it
---@field keys table<flash_ls.Action, string|false>|false false: no key
---@field settings table<string, any> for the server

local M = {}

---@type flash_ls.Options
M.defaults = {
  cmd = { "flash-ls" },
  root_markers = { ".git", ".hg", "pyproject.toml", "package.json", "Cargo.toml", "go.mod", "Makefile" },
  filetypes = false,
  exclude_filetypes = { "gitrebase" },
  auto = true,
  debounce_ms = 0,
  use_builtin = false,
  keys = {
    accept = "<Tab>",
    accept_word = "<M-w>",
    accept_line = "<M-l>",
    next = "<M-n>",
    previous = "<M-p>",
    dismiss = "<C-]>",
    trigger = "<M-Bslash>",
  },
  settings = {},
}

--- What may be `false` besides its own type.
local OFF = { filetypes = "table", keys = "table" }

M.current = M.defaults

---@param name string
---@param value any
---@return string? # what is wrong
local function fault(name, value)
  local default = M.defaults[name]
  if default == nil then
    return ("there is no option %s"):format(name)
  end
  local kind = OFF[name] or type(default)
  if type(value) ~= kind and not (OFF[name] and value == false) then
    return ("option %s must be a %s, not %s"):format(name, kind, vim.inspect(value))
  end
end

---@param keys table<string, any>|false
---@return string? # what is wrong
local function key_fault(keys)
  for action, key in pairs(keys or {}) do
    if M.defaults.keys[action] == nil then
      return ("there is no key for %s"):format(action)
    end
    if key ~= false and type(key) ~= "string" then
      return ("the key for %s must be a string or false"):format(action)
    end
  end
end

--- Lay a user's options over the defaults. What cannot be used is left out.
---@param options table<string, any>
---@return string[] # what was wrong
function M.set(options)
  local usable, faults = {}, {}
  for name, value in pairs(options) do
    local wrong = fault(name, value) or (name == "keys" and key_fault(value)) or nil
    if wrong then
      faults[#faults + 1] = wrong
    else
      usable[name] = value
    end
  end
  M.current = vim.tbl_deep_extend("force", M.defaults, usable)
  table.sort(faults)
  return faults
end

--- Whether the server shall see files of this type.
---@param filetype string
---@return boolean
function M.serves(filetype)
  local only = M.current.filetypes
  local wanted = not only or vim.list_contains(only, filetype)
  return wanted and not vim.list_contains(M.current.exclude_filetypes, filetype)
end

return M
