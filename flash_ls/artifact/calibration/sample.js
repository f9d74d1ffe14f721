'use strict';

const http = require('node:http');
const fs = require('node:fs/promises');
const path = require('node:path');
const crypto = require('node:crypto');
const { EventEmitter } = require('node:events');

const PORT = Number(process.env.PORT) || 8080;
const SESSION_TTL_MS = 30 * 60 * 1000;
const COUPON_PATTERN = /^(?:SAVE|SHIP)-([A-Z0-9]{4})$/i;

const CATALOG = {
  'mug-01': { title: 'Enamel mug', priceCents: 1450, stock: 12 },
  'tee-07': { title: 'Organic t-shirt', priceCents: 2900, stock: 3 },
  'pen-22': { title: 'Gel pen (blue)', priceCents: 275, stock: 140 },
};

class HttpError extends Error {
  constructor(status, message, details = null) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.details = details;
  }
}

/**
 * A shopping cart bound to one user session.
 * Emits "change" whenever the contents are modified.
 */
class Cart extends EventEmitter {
  #items = new Map();

  add(sku, quantity = 1) {
    const product = CATALOG[sku];
    if (!product) {
      throw new HttpError(404, `Unknown product: ${sku}`);
    }
    const current = this.#items.get(sku) ?? 0;
    if (current + quantity > product.stock) {
      throw new HttpError(409, 'Not enough stock', { sku, available: product.stock });
    }
    this.#items.set(sku, current + quantity);
    this.emit('change', { sku, quantity: current + quantity });
    return this;
  }

  remove(sku) {
    if (this.#items.delete(sku)) this.emit('change', { sku, quantity: 0 });
  }

  get subtotal() {
    return [...this.#items].reduce(
      (sum, [sku, qty]) => sum + CATALOG[sku].priceCents * qty,
      0,
    );
  }

  toJSON() {
    const items = Array.from(this.#items, ([sku, quantity]) => ({
      sku,
      quantity,
      ...CATALOG[sku],
    }));
    return { items, subtotal: this.subtotal, display: formatPrice(this.subtotal) };
  }
}

function formatPrice(cents, currency = 'EUR') {
  return new Intl.NumberFormat('en-IE', { style: 'currency', currency }).format(cents / 100);
}

const sessions = new Map();

function getSession(req, res) {
  const cookies = Object.fromEntries(
    (req.headers.cookie || '')
      .split(';')
      .map((part) => part.trim().split('='))
      .filter(([key, value]) => key && value),
  );
  let session = sessions.get(cookies.sid);
  if (!session || session.expiresAt < Date.now()) {
    const sid = crypto.randomBytes(16).toString('hex');
    session = { sid, cart: new Cart(), expiresAt: 0 };
    session.cart.on('change', ({ sku, quantity }) => {
      console.log(`[${sid.slice(0, 6)}] ${sku} -> ${quantity}`);
    });
    sessions.set(sid, session);
    res.setHeader('Set-Cookie', `sid=${sid}; HttpOnly; SameSite=Lax; Path=/`);
  }
  session.expiresAt = Date.now() + SESSION_TTL_MS;
  return session;
}

async function readJson(req, limit = 0x10000) {
  const chunks = [];
  let size = 0;
  for await (const chunk of req) {
    size += chunk.length;
    if (size > limit) throw new HttpError(413, 'Payload too large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch (err) {
    throw new HttpError(400, 'Malformed JSON body', err.message);
  }
}

const routes = {
  'GET /cart': async ({ session }) => session.cart,

  'POST /cart/items': async ({ session, req }) => {
    const { sku, quantity = 1 } = await readJson(req);
    if (!Number.isInteger(quantity) || quantity <= 0) {
      throw new HttpError(422, 'quantity must be a positive integer');
    }
    return session.cart.add(sku, quantity);
  },

  'POST /cart/coupon': async ({ session, req }) => {
    const { code } = await readJson(req);
    const match = COUPON_PATTERN.exec(code ?? '');
    if (!match) throw new HttpError(422, 'Invalid coupon');
    const percent = match[1].startsWith('X') ? 15 : 5;
    const discount = Math.round((session.cart.subtotal * percent) / 100);
    return { code, percent, total: session.cart.subtotal - discount };
  },

  'GET /help': async () => {
    const file = path.join(__dirname, 'public', 'help.md');
    const text = await fs.readFile(file, 'utf8').catch(() => '# Help is on its way');
    return { lines: text.split(/\r?\n/).length, text };
  },
};

const server = http.createServer(async (req, res) => {
  const { pathname } = new URL(req.url, `http://${req.headers.host}`);
  const handler = routes[`${req.method} ${pathname}`];
  try {
    if (!handler) throw new HttpError(404, 'Not found');
    const session = getSession(req, res);
    const body = await handler({ req, res, session });
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify(body, null, 2));
  } catch (err) {
    const status = err instanceof HttpError ? err.status : 500;
    if (status >= 500) console.error(err.stack);
    res.writeHead(status, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ error: err.message, details: err.details ?? undefined }));
  }
});

// Sweep expired sessions once a minute without keeping the process alive.
setInterval(() => {
  for (const [sid, { expiresAt }] of sessions) {
    if (expiresAt < Date.now()) sessions.delete(sid);
  }
}, 60_000).unref();

if (require.main === module) {
  server.listen(PORT, () => console.log(`Cart service on port ${PORT}`));
}

module.exports = { Cart, HttpError, formatPrice, server };
