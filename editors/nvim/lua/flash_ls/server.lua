--- The server process: one for all buffers, started with the first, started again when it crashes.

local notice = require("flash_ls.notice")
local options = require("flash_ls.options")
local state = require("flash_ls.state")
local switch = require("flash_ls.switch")
local version = require("flash_ls.version")

---@class flash_ls.Run one process
---@field began integer milliseconds
---@field ended? fun() called instead of starting it again

local M = {}

M.NAME = "flash_ls"
M.restart_delays_ms = { 500, 1000, 2000 }

--- A process that lived this long has started well.
local STEADY_MS = 60000
--- How long a process may take to leave.
local LEAVE_MS = 3000

local MISSING = "there is no program `%s`. Install the server (`pip install 'flash-ls[model]'`) or set the option "
  .. "`cmd` to where it is, then run :FlashLs restart."
local CRASHED = "the server has ended %d times, the last time with exit code %d. :FlashLs log shows why, "
  .. ":FlashLs restart tries again."
local OTHER_VERSION = "the server is version %s, this plugin was made with %s. Update the older one."

local crashes = 0
local run ---@type flash_ls.Run?

--- The client of the running server.
---@param bufnr? integer that of a buffer
---@return vim.lsp.Client?
function M.client(bufnr)
  for _, client in ipairs(vim.lsp.get_clients({ name = M.NAME, bufnr = bufnr })) do
    if not client:is_stopped() then
      return client
    end
  end
end

--- The server's settings as they are now.
---@return table<string, any>
local function settings()
  local changed = switch.enabled() and {} or { enabled = false }
  local now = vim.tbl_extend("force", options.current.settings, changed)
  return next(now) and now or vim.empty_dict()
end

---@return lsp.ClientCapabilities
local function capabilities()
  local all = vim.lsp.protocol.make_client_capabilities()
  all.textDocument.inlineCompletion = { dynamicRegistration = false }
  all.experimental = { flashLs = { status = true, refresh = true } }
  return all
end

---@param code integer
local function crashed(code)
  crashes = crashes + 1
  local delay = M.restart_delays_ms[crashes]
  if not delay then
    state.set("error", "the server crashes")
    notice.say(CRASHED:format(crashes, code), vim.log.levels.ERROR)
    return
  end
  state.set("starting", "again")
  vim.defer_fn(M.start_all, delay)
end

---@param which flash_ls.Run
---@param code integer
local function exited(which, code)
  if which == run then
    run = nil
  end
  if which.ended then
    which.ended()
  elseif vim.v.exiting == vim.NIL then
    crashes = vim.uv.now() - which.began > STEADY_MS and 0 or crashes
    crashed(code)
  end
end

--- Start the process. Neovim is told of a clean end, as it would report each crash by itself.
---@param dispatchers vim.lsp.rpc.Dispatchers
---@return vim.lsp.rpc.PublicClient
local function spawn(dispatchers)
  local this = { began = vim.uv.now() } ---@type flash_ls.Run
  run = this
  local own = vim.tbl_extend("force", dispatchers, {
    on_exit = function(code)
      dispatchers.on_exit(0, 0)
      vim.schedule(function()
        exited(this, code)
      end)
    end,
  })
  return vim.lsp.rpc.start(options.current.cmd, own)
end

local LEVELS = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO, vim.log.levels.INFO }

local HANDLERS = {
  ["flashLs/status"] = function(_, params)
    state.hear(params)
  end,
  ["flashLs/refresh"] = function(_, params)
    require("flash_ls.session").refreshed(params.uri, params.better)
  end,
  ["window/showMessage"] = function(_, params)
    notice.say(params.message, LEVELS[params.type])
  end,
}

--- The handshake is done: the server may be another one than the plugin was made with.
---@param client vim.lsp.Client
local function introduced(client)
  local info = client.server_info or {}
  if info.name == "flash-ls" and info.version ~= version then
    notice.say_once(OTHER_VERSION:format(info.version, version), vim.log.levels.WARN)
  end
  state.set("ready")
end

---@param bufnr integer
---@return vim.lsp.ClientConfig
local function config(bufnr)
  local now = settings()
  return {
    name = M.NAME,
    cmd = spawn,
    root_dir = vim.fs.root(bufnr, options.current.root_markers),
    capabilities = capabilities(),
    init_options = now,
    settings = { flashLs = now },
    handlers = HANDLERS,
    on_init = introduced,
  }
end

--- Show a folder to the running server as well.
---@param client vim.lsp.Client
---@param folder string?
local function add_folder(client, folder)
  local uri = folder and vim.uri_from_fname(folder)
  local known = vim.iter(client.workspace_folders or {}):any(function(other)
    return other.uri == uri
  end)
  if uri and not known then
    local added = { { uri = uri, name = folder } }
    client.workspace_folders = vim.list_extend(client.workspace_folders or {}, added)
    client:notify("workspace/didChangeWorkspaceFolders", { event = { added = added, removed = {} } })
  end
end

--- Whether a client is the server that runs; if so, it learns of the folder too.
---@param client vim.lsp.Client
---@param wanted vim.lsp.ClientConfig
---@return boolean
local function reuse(client, wanted)
  local same = client.name == M.NAME and not client:is_stopped()
  if same and client.initialized then
    add_folder(client, wanted.root_dir)
  end
  return same
end

---@param bufnr integer
---@return boolean
local function eligible(bufnr)
  local buffer = vim.bo[bufnr]
  local is_file = buffer.buftype == "" and buffer.filetype ~= "" and vim.api.nvim_buf_get_name(bufnr) ~= ""
  return vim.api.nvim_buf_is_loaded(bufnr) and is_file and options.serves(buffer.filetype)
end

--- Have a buffer served, if it is a file that shall be.
---@param bufnr integer
function M.start(bufnr)
  if not eligible(bufnr) then
    return
  end
  local program = options.current.cmd[1]
  if vim.fn.executable(program) == 0 then
    state.set("error", "not installed")
    notice.say_once(MISSING:format(program), vim.log.levels.ERROR)
    return
  end
  if not run then
    state.set("starting")
  end
  vim.lsp.start(config(bufnr), { bufnr = bufnr, reuse_client = reuse })
end

--- Have every open buffer served.
function M.start_all()
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    M.start(bufnr)
  end
end

--- End the server, by force if it does not leave.
---@param after fun() called when it has ended, or at once if none runs
local function stop(after)
  local this, client = run, M.client()
  if not this or not client then
    after()
    return
  end
  this.ended = after
  client:stop()
  vim.defer_fn(function()
    if run == this then
      client.rpc.terminate()
    end
  end, LEAVE_MS)
end

--- Start again, whatever went wrong before.
function M.restart()
  crashes = 0
  notice.forget()
  stop(M.start_all)
end

--- Send the settings as they are now.
function M.configure()
  local client = M.client()
  if client then
    client.settings = { flashLs = settings() }
    client:notify("workspace/didChangeConfiguration", { settings = client.settings })
  end
end

return M
