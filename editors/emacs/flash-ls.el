;;; flash-ls.el --- Code completion on your own machine -*- lexical-binding: t -*-

;; SPDX-License-Identifier: Apache-2.0
;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1") (eglot "1.9"))
;; Keywords: convenience, languages

;;; Commentary:

;; \\[eglot] starts the language server `flash-ls' in buffers of `flash-ls-modes'.
;; `completion-at-point' then shows its suggestion in a menu, and
;; `flash-ls-complete' inserts it.

;;; Code:

(require 'eglot)

(defgroup flash-ls nil
  "Code completion by the language server `flash-ls'."
  :group 'eglot)

(defcustom flash-ls-command '("flash-ls")
  "The server and its arguments.
Set it before this file is loaded."
  :type '(repeat string))

(defcustom flash-ls-modes '(prog-mode)
  "Modes in which Eglot starts the server, with all that derive from them.
Eglot has one server in a buffer: leave out the modes that shall have
another.  Set it before this file is loaded."
  :type '(repeat symbol))

(add-to-list 'eglot-server-programs (cons flash-ls-modes flash-ls-command))

(defalias 'flash-ls--region
  (if (fboundp 'eglot-range-region) 'eglot-range-region 'eglot--range-region)
  "The start and end in this buffer of a range of the protocol.")

(defun flash-ls--item ()
  "The first suggestion at point (LSP: InlineCompletionItem), or nil."
  (let* ((params (append (eglot--TextDocumentPositionParams)
                         '(:context (:triggerKind 1))))
         (answer (jsonrpc-request (eglot-current-server)
                                  :textDocument/inlineCompletion params
                                  :deferred :textDocument/inlineCompletion
                                  :cancel-on-input t)))
    (seq-first (if (vectorp answer) answer (plist-get answer :items)))))

;;;###autoload
(defun flash-ls-complete ()
  "Insert what `flash-ls' suggests at point: the rest of a line, or a body."
  (interactive "*")
  (unless (eglot-current-server)
    (user-error "No language server here; start flash-ls with M-x eglot"))
  (let ((item (or (flash-ls--item)
                  (user-error "The server has no suggestion here"))))
    (pcase-let ((`(,start . ,end) (flash-ls--region (plist-get item :range))))
      (goto-char start)
      (delete-region start end)
      (insert (plist-get item :insertText)))))

(provide 'flash-ls)
;;; flash-ls.el ends here
