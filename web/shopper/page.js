'use strict';
const $ = (id) => document.getElementById(id);
const chinese = navigator.language.toLowerCase().startsWith('zh');
const locale = chinese ? 'zh-CN' : 'en';
document.documentElement.lang = locale;
const text = {
  scheduled: ['Starts soon', '即将开始'], open: ['On sale', '抢购中'], paused: ['Paused', '已暂停'], sold_out: ['Sold out', '已售罄'], ended: ['Ended', '已结束'],
  available: ['In stock', '库存充足'], low: ['Almost gone', '即将售罄'], none: ['None left', '暂无库存'],
  pending: ['Order received, processing…', '已提交，正在处理…'], confirmed: ['It is yours!', '抢购成功！'], paid: ['Paid', '已支付'], rejected: ['Not successful', '未能抢到'], cancelled: ['Cancelled', '已取消'],
  starts: ['until it starts', '距开始'], ends: ['until it ends', '距结束'], buy: ['Buy now', '立即抢购'], sending: ['Sending…', '提交中…'], wait: ['Not yet', '敬请期待'],
  quantity: ['Quantity', '数量'], token: ['Shopper token', '用户令牌'], needToken: ['Paste a shopper token below first.', '请先在下方粘贴用户令牌。'],
  payBy: ['Pay by ', '请在此时间前支付：'], offline: ['No response. Retrying…', '服务器没有响应，正在重试…'], noSale: ['There is no sale at the moment.', '暂无活动。'],
  upTo: ['Per order: up to', '每单最多'], orders: ['orders per shopper', '每人限购单数'],
};
const t = (key) => (text[key] || [key, key])[chinese ? 1 : 0];
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let sale = null, offset = 0, busy = false, watching = '';
let token = new URLSearchParams(location.hash.slice(1)).get('token') || sessionStorage.getItem('token') || '';
if (location.hash) history.replaceState(null, '', location.pathname + location.search);

// call returns the answer's status and body. A lost connection throws.
async function call(path, options = {}) {
  const headers = { 'Accept-Language': locale, ...options.headers };
  if (token) headers.Authorization = 'Bearer ' + token;
  const answer = await fetch(path, { ...options, headers, cache: 'no-store' });
  const type = answer.headers.get('Content-Type') || '';
  return { ok: answer.ok, status: answer.status, body: type.includes('json') ? await answer.json() : {} };
}

function complain(message) {
  $('error').hidden = !message;
  $('error').textContent = message || '';
}
const problem = (p) => [p.title, p.detail, ...(p.errors || []).map((e) => `${e.pointer}: ${e.detail}`)].filter(Boolean).join(' — ');

function money(minor, currency) {
  const format = new Intl.NumberFormat(locale, { style: 'currency', currency });
  return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000)), two = (n) => String(n).padStart(2, '0');
  const days = Math.floor(s / 86400);
  return (days ? days + 'd ' : '') + [s / 3600 % 24, s / 60 % 60, s % 60].map((n) => two(Math.floor(n))).join(':');
}

function draw() {
  if (!sale) return;
  const now = Date.now() + offset, starts = Date.parse(sale.starts_at), ends = Date.parse(sale.ends_at);
  const state = sale.state === 'scheduled' && now >= starts ? 'open' : sale.state === 'open' && now >= ends ? 'ended' : sale.state;
  $('badge').textContent = t(state);
  $('badge').className = 'badge ' + state;
  $('left').textContent = state === 'open' ? t(sale.stock.display) : '';
  const until = now < starts ? starts : now < ends && state !== 'ended' ? ends : 0;
  $('clock').replaceChildren();
  if (until) {
    const label = document.createElement('small');
    label.textContent = t(until === starts ? 'starts' : 'ends');
    $('clock').append(countdown(until - now), label);
  }
  $('button').disabled = busy || state !== 'open';
  $('button').textContent = busy ? t('sending') : state === 'open' ? t('buy') : state === 'scheduled' ? t('wait') : t(state);
}

async function refresh() {
  const wanted = new URLSearchParams(location.search).get('sale');
  const sent = Date.now();
  const [clock, got] = await Promise.all([call('/v1/time'), call(wanted ? '/v1/sales/' + encodeURIComponent(wanted) : '/v1/sales')]);
  if (clock.ok) offset = clock.body.unix_ms - (sent + Date.now()) / 2;
  if (!got.ok) return complain(problem(got.body));
  sale = wanted ? got.body : got.body.sales.find((s) => s.state === 'open') || got.body.sales[0];
  if (!sale) return complain(t('noSale'));
  document.title = $('title').textContent = sale.title;
  $('sku').textContent = sale.sku;
  $('price').textContent = money(sale.price_minor, sale.currency);
  $('note').textContent = `${t('upTo')} ${sale.units_per_order} · ${t('orders')}: ${sale.orders_per_shopper}`;
  $('quantity').max = sale.units_per_order;
  $('quantity').parentElement.hidden = sale.units_per_order < 2;
  draw();
}

function show(o) {
  $('order').hidden = false;
  $('order').className = 'order ' + o.status;
  $('status').textContent = t(o.status);
  const lines = [];
  if (o.amount_minor !== undefined) lines.push(`${o.quantity} × ${money(o.amount_minor / o.quantity, o.currency)} = ${money(o.amount_minor, o.currency)}`);
  if (o.status === 'confirmed' && o.pay_by) lines.push(t('payBy') + new Date(o.pay_by).toLocaleTimeString(locale));
  if (o.problem) lines.push(problem(o.problem));
  $('detail').textContent = lines.join(' · ');
  $('id').textContent = o.id;
}

// watch follows an order by long polls until it is decided.
async function watch(order) {
  watching = order.id;
  for (let o = order; ; ) {
    show(o);
    if (o.done) return refresh().catch(() => {});
    try {
      const got = await call(`/v1/orders/${o.id}?wait=20s`);
      if (watching !== order.id) return;
      if (got.ok) { complain(''); o = got.body; continue; }
      complain(problem(got.body));
      if (got.status === 401 || got.status === 404) return;
    } catch { complain(t('offline')); }
    await sleep(1500 + Math.random() * 1500);
  }
}

// recover finds an order whose answer was lost.
async function recover() {
  if (!token || !sale) return false;
  const got = await call('/v1/orders?limit=1&sale_id=' + sale.id);
  if (!got.ok || !got.body.orders.length) return false;
  if (watching !== got.body.orders[0].id) watch(got.body.orders[0]);
  return true;
}

$('buy').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (!token) { $('account').open = true; return complain(t('needToken')); }
  busy = true; complain(''); draw();
  try {
    const headers = { 'Content-Type': 'application/json' };
    if (sale.require_permit) {
      const permit = await call(`/v1/sales/${sale.id}/permits`, { method: 'POST' });
      if (!permit.ok) return complain(problem(permit.body));
      headers['Purchase-Permit'] = permit.body.permit;
    }
    const got = await call(`/v1/sales/${sale.id}/orders`, {
      method: 'POST', headers, body: JSON.stringify({ quantity: Number($('quantity').value) || 1 }),
    });
    if (got.ok) watch(got.body);
    else {
      complain(problem(got.body));
      if (got.body.orders_url) await recover();
    }
  } catch {
    complain(t('offline'));
    await recover().catch(() => {});
  } finally { busy = false; draw(); }
});
$('token').addEventListener('change', () => { token = $('token').value.trim(); sessionStorage.setItem('token', token); complain(''); recover().catch(() => {}); });

$('quantity-label').textContent = t('quantity');
$('token-label').textContent = t('token');
$('token').value = token;
$('account').open = !token;
if (token) sessionStorage.setItem('token', token);
refresh().then(recover).catch(() => complain(t('offline')));
setInterval(draw, 250);
setInterval(() => { if (!document.hidden && !busy) refresh().catch(() => complain(t('offline'))); }, 5000);
