/**
 * What runs in the browser: asks for one page of rows, shows it, and asks again when the hub says that
 * something changed. Texts of devices become text nodes, never markup. No template strings in here:
 * this text is one itself.
 */
export const FLEET_SCRIPT = String.raw`
'use strict';
(() => {
  const LIMIT = 50;
  const STATES = [
    ['trouble', 'Trouble', 'M8 1 15.5 14.5H.5zM7.2 5.5v5h1.6v-5zm0 6.2v1.6h1.6v-1.6z'],
    ['unproven', 'Not proven', 'M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0zM7.2 11.4h1.6V13H7.2zM8 3a3 3 0 0 1 1.6 5.5c-.6.4-.8.7-.8 1.5H7.2c0-1.5.5-2.2 1.4-2.8A1.4 1.4 0 1 0 6.6 6H5a3 3 0 0 1 3-3z'],
    ['waiting', 'Waiting', 'M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0zM4.8 4.5h2.2v7H4.8zm4.2 0h2.2v7H9z'],
    ['changing', 'Changing', 'M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0zm0 2a6 6 0 0 1 0 12z'],
    ['silent', 'Silent', 'M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0zm0 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2z'],
    ['settled', 'Settled', 'M8 0a8 8 0 1 0 0 16A8 8 0 0 0 8 0zM6.9 11.8 3.3 8.2l1.3-1.3 2.3 2.3 4.5-4.5 1.3 1.3z'],
  ];
  const WORD = new Map(STATES.map(([name, word]) => [name, word]));
  const PROOF = {
    'enrolled': 'signed by the key that this hub enrolled',
    'first-seen': 'signed by the key first seen under this name; nobody has compared it',
    'none': 'nothing that this device signed is here',
  };
  const $ = (id) => document.getElementById(id);
  const wish = { offset: 0, q: '', conditions: new Set(), channel: '', sort: 'condition' };
  const shown = new Map();
  let data = null;
  let clockOffset = 0;
  let busy = false;
  let again = false;
  let stream = null;
  let poll = 0;
  let open = null;

  function el(name, className, ...children) {
    const node = document.createElement(name);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null && child !== ''));
    return node;
  }

  function icon(condition) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    const path = document.createElementNS(space, 'path');
    const found = STATES.find(([name]) => name === condition);
    svg.setAttribute('viewBox', '0 0 16 16');
    svg.setAttribute('aria-hidden', 'true');
    path.setAttribute('d', found ? found[2] : '');
    path.setAttribute('fill', 'currentColor');
    path.setAttribute('fill-rule', 'evenodd');
    svg.append(path);
    return svg;
  }

  function state(condition) {
    return el('span', 'state ' + condition, icon(condition), WORD.get(condition) || condition);
  }

  function ago(at) {
    if (!at) return 'never';
    const s = Math.max(0, Math.round((Date.now() + clockOffset - at) / 1000));
    if (s < 5) return 'now';
    if (s < 60) return s + ' s ago';
    if (s < 3600) return Math.round(s / 60) + ' min ago';
    if (s < 86400 * 2) return Math.round(s / 3600) + ' h ago';
    return Math.round(s / 86400) + ' days ago';
  }

  function when(at) {
    const time = el('time', '', ago(at));
    if (at) { time.dateTime = new Date(at).toISOString(); time.title = new Date(at).toLocaleString(); time.dataset.at = at; }
    return time;
  }

  function say(which, text) {
    $('live').dataset.state = which;
    if ($('live-text').textContent !== text) $('live-text').textContent = text;
  }

  function note(text) {
    $('note').hidden = text === '';
    if ($('note').textContent !== text) $('note').textContent = text;
  }

  function query() {
    const about = new URLSearchParams({ offset: wish.offset, limit: LIMIT, sort: wish.sort });
    if (wish.q) about.set('q', wish.q);
    if (wish.channel) about.set('channel', wish.channel);
    if (wish.conditions.size) about.set('condition', [...wish.conditions].join(','));
    return about;
  }

  async function ask(url) {
    const answer = await fetch(url, { headers: { accept: 'application/json' }, cache: 'no-store' });
    if (!answer.ok) throw Object.assign(new Error('HTTP ' + answer.status), { status: answer.status });
    return answer.json();
  }

  async function load() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      data = await ask('/v1/fleet?' + query());
      clockOffset = data.now - Date.now();
      wish.offset = data.offset;
      note(data.beyond ? data.beyond + ' more devices report here; this page keeps the first 20,000.' : '');
      draw();
      if (stream && stream.readyState === 1) say('on', 'Live');
    } catch (error) {
      if (error.status === 401 || error.status === 403) note('Log in again: reload this page.');
      say('off', data ? 'No answer; shown as of ' + new Date(data.now).toLocaleTimeString() : 'No answer from the hub');
    } finally {
      busy = false;
      const once = again;
      again = false;
      if (once) setTimeout(load, 250);
    }
  }

  function draw() {
    drawConditions();
    drawChannels();
    const { rows, matched, total, offset } = data;
    const filtered = wish.q !== '' || wish.channel !== '' || wish.conditions.size > 0;
    $('table').hidden = rows.length === 0;
    $('empty').hidden = rows.length > 0;
    $('empty-title').textContent = total === 0 ? 'No device has reported yet' : 'Nothing matches';
    $('empty-text').textContent = total === 0
      ? 'A device appears here with the first signed status that it sends to this hub\u2019s broker.'
      : 'Of ' + total + (total === 1 ? ' device.' : ' devices.');
    drawRows(rows);
    $('pages').hidden = matched <= LIMIT;
    const place = (offset + 1) + '\u2013' + (offset + rows.length) + ' of ' + matched + (filtered && matched !== total ? ' found, ' + total + ' in all' : '');
    if ($('place').textContent !== place) $('place').textContent = place;
    $('back').disabled = offset === 0;
    $('next').disabled = offset + rows.length >= matched;
    const ill = data.counts.trouble;
    document.title = (ill ? '(' + ill + ') ' : '') + 'Fleet \u00b7 Holdfast';
    const who = data.open ? 'Open to whoever reaches this address' : 'Logged in as ' + data.operator;
    const keys = data.open ? 'A device is known by the key first seen under its name. ' : 'A device is known by the key that it enrolled with. ';
    $('about').textContent = who + '. ' + keys + 'What it says counts when it has signed it; whether it is connected, nobody signs.';
  }

  function drawConditions() {
    const group = $('conditions');
    if (group.childElementCount === 0) {
      for (const [name, word] of STATES) {
        const button = el('button', '', state(name), el('b', ''));
        button.type = 'button';
        button.dataset.name = name;
        button.querySelector('.state').lastChild.data = word;
        button.addEventListener('click', () => {
          if (!wish.conditions.delete(name)) wish.conditions.add(name);
          wish.offset = 0;
          draw();
          remember();
        });
        group.append(button);
      }
    }
    for (const button of group.children) {
      button.setAttribute('aria-pressed', String(wish.conditions.has(button.dataset.name)));
      button.querySelector('b').textContent = data.counts[button.dataset.name];
    }
  }

  function drawChannels() {
    const names = data.channels.includes(wish.channel) || wish.channel === '' ? data.channels : [wish.channel, ...data.channels];
    const select = $('channel');
    const now = [...select.options].slice(1).map((option) => option.value);
    if (now.join('\n') !== names.join('\n')) {
      select.replaceChildren(new Option('All channels', ''), ...names.map((name) => new Option(name, name)));
    }
    select.value = wish.channel;
    select.parentElement.hidden = names.length < 2 && wish.channel === '';
  }

  function drawRows(rows) {
    const focused = document.activeElement && document.activeElement.closest('tr');
    const nodes = rows.map((row) => {
      const text = JSON.stringify(row);
      const old = shown.get(row.id);
      if (old && old.text === text) return old.node;
      const node = old ? old.node : el('tr', '');
      node.replaceChildren(...cells(row));
      shown.set(row.id, { text, node });
      return node;
    });
    const body = $('rows');
    const same = body.children.length === nodes.length && nodes.every((node, at) => body.children[at] === node);
    if (!same) body.replaceChildren(...nodes);
    const kept = new Set(rows.map(({ id }) => id));
    for (const id of [...shown.keys()]) if (!kept.has(id)) shown.delete(id);
    if (focused && nodes.includes(focused) && !focused.contains(document.activeElement)) {
      focused.querySelector('button').focus();
    }
    ages();
  }

  function cells(row) {
    const { summary } = row;
    const name = el('button', 'name', row.device);
    name.type = 'button';
    name.addEventListener('click', () => show(row.id));
    const labels = summary && summary.labels ? el('div', 'dim', summary.labels) : null;
    const link = row.online === null ? null : el('div', 'dim', row.online ? 'connected' : 'not connected');
    const channels = (summary ? summary.channels : []).map((one) => {
      const moved = one.desired !== '' && one.desired !== one.applied;
      const text = (one.applied || 'none') + (moved ? ' \u2192 ' + one.desired : '');
      return el('div', '', one.channel + ' ', el('span', 'point', text), one.phase === 'idle' ? '' : el('span', 'dim', ' ' + one.phase));
    });
    if (summary && summary.moreChannels) channels.push(el('div', 'dim', summary.moreChannels + ' more'));
    const many = summary && summary.deployments ? el('div', 'dim', (summary.ill ? summary.ill + ' of ' : '') + summary.deployments + (summary.deployments === 1 ? ' deployment' : ' deployments') + (summary.ill ? ' ill' : '')) : null;
    const reason = el('td', '');
    if (row.doubt) reason.append(el('div', 'doubt', 'Not proven: ' + row.doubt));
    if (row.note) reason.append(el('div', '', row.note));
    if (summary && summary.reason) reason.append(el('div', '', summary.reason));
    if (summary && summary.cure) reason.append(el('div', 'cure', summary.cure));
    return [
      el('td', '', name, labels),
      el('td', '', state(row.condition), link),
      el('td', '', ...channels, many),
      reason,
      el('td', 'dim', when(row.seenAt)),
    ];
  }

  function ages() {
    for (const time of document.querySelectorAll('time[data-at]')) {
      const text = ago(Number(time.dataset.at));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function pairs(list) {
    const dl = el('dl', '');
    for (const [name, value, mono] of list) {
      if (value === '' || value === null || value === undefined) continue;
      dl.append(el('dt', '', name), el('dd', mono ? 'mono' : '', value));
    }
    return dl;
  }

  async function show(id) {
    open = id;
    await drawDetail();
    if (open === id && !$('detail').open) $('detail').showModal();
  }

  async function drawDetail() {
    const id = open;
    const row = data && data.rows.find((one) => one.id === id);
    let detail = null;
    try { detail = await ask('/v1/fleet/device?id=' + encodeURIComponent(id)); } catch (error) { detail = null; }
    if (open !== id) return;
    if (row) $('detail-title').textContent = row.device;
    const summary = row && row.summary;
    const parts = [];
    if (row && row.doubt) parts.push(el('p', 'note', 'Not proven: ' + row.doubt + '. What stands below is the last that counted.'));
    if (row && row.note) parts.push(el('p', 'note', row.note));
    parts.push(pairs([
      ['State', row ? state(row.condition) : ''],
      ['Proof', row ? PROOF[row.proof] : ''],
      ['Last heard', row ? when(row.seenAt) : ''],
      ['Its clock said', summary && summary.at ? new Date(summary.at).toLocaleString() + (detail ? ' (' + detail.timeGrade + ')' : '') : ''],
      ['Agent', summary ? summary.agent : ''],
      ['Labels', detail ? detail.labels.map(({ name, value }) => name + '=' + value).join('  ') : ''],
      ['Fleet', summary ? summary.fleet : '', true],
      ['Device key', detail ? detail.key : '', true],
      ['Root', detail ? 'version ' + detail.rootVersion : ''],
      ['Report', detail ? detail.report : ''],
    ]));
    for (const channel of detail ? detail.channels : []) {
      parts.push(el('h3', '', channel.channel));
      const refused = channel.refused.code;
      const waits = channel.waitingFor.code;
      parts.push(pairs([
        ['Applied', channel.applied || 'nothing yet'],
        ['Desired', channel.desired === channel.applied ? '' : channel.desired],
        ['State digest', channel.stateDigest, true],
        ['Waits for', waits ? waits + (channel.waitingFor.cure ? ' \u2192 ' + channel.waitingFor.cure : '') : ''],
        ['Refused', refused ? refused + ': ' + channel.refused.message + (channel.refused.cure ? ' \u2192 ' + channel.refused.cure : '') : ''],
      ]));
      parts.push(el('ul', '', ...channel.deployments.map((one) => el('li', '',
        el('b', '', one.id), ' ',
        el('span', one.health === 'healthy' ? 'settled' : one.health === 'starting' ? 'changing' : 'trouble', one.health),
        one.restarts ? el('span', 'dim', '  ' + one.restarts + ' restarts') : '',
        one.code || one.message ? el('div', 'dim', [one.code, one.message].filter((text) => text !== '').join(': ')) : ''))));
    }
    if (detail && detail.events.length) {
      parts.push(el('h3', '', 'Events of its last report'));
      parts.push(el('ul', '', ...detail.events.map((one) => el('li', '', el('span', 'dim', one.at ? new Date(one.at).toLocaleString() + '  ' : ''), el('b', '', one.code), ' ', one.message))));
    }
    $('detail-body').replaceChildren(...parts);
  }

  function listen() {
    if (stream) stream.close();
    clearInterval(poll);
    stream = new EventSource('/v1/fleet/changes');
    stream.onopen = () => { clearInterval(poll); say('on', 'Live'); };
    stream.onmessage = () => { load(); if ($('detail').open) drawDetail(); };
    stream.onerror = () => {
      say('wait', 'Reconnecting');
      if (stream.readyState !== 2) return;
      // Refused for good: asked now and then, and tried again in a minute.
      clearInterval(poll);
      poll = setInterval(load, 5000);
      setTimeout(() => { if (stream && stream.readyState === 2 && !document.hidden) listen(); }, 60000);
      load();
    };
  }

  function remember() {
    const about = query();
    about.delete('limit');
    history.replaceState(null, '', '#' + about);
    load();
  }

  function recall() {
    const about = new URLSearchParams(location.hash.slice(1));
    wish.offset = Math.max(0, Number.parseInt(about.get('offset') || '0', 10) || 0);
    wish.q = (about.get('q') || '').slice(0, 100);
    wish.channel = (about.get('channel') || '').slice(0, 100);
    const sort = about.get('sort');
    wish.sort = ['condition', 'device', 'seen'].includes(sort) ? sort : 'condition';
    wish.conditions = new Set((about.get('condition') || '').split(',').filter((name) => WORD.has(name)));
    $('search').value = wish.q;
    $('sort').value = wish.sort;
  }

  let typing = 0;
  $('search').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => { wish.q = $('search').value.trim(); wish.offset = 0; remember(); }, 200);
  });
  $('channel').addEventListener('change', () => { wish.channel = $('channel').value; wish.offset = 0; remember(); });
  $('sort').addEventListener('change', () => { wish.sort = $('sort').value; wish.offset = 0; remember(); });
  $('back').addEventListener('click', () => { wish.offset = Math.max(0, wish.offset - LIMIT); remember(); scrollTo(0, 0); });
  $('next').addEventListener('click', () => { wish.offset += LIMIT; remember(); scrollTo(0, 0); });
  $('close').addEventListener('click', () => $('detail').close());
  $('detail').addEventListener('close', () => { open = null; });
  $('detail').addEventListener('click', (event) => { if (event.target === $('detail')) $('detail').close(); });
  addEventListener('hashchange', () => { recall(); load(); });
  addEventListener('keydown', (event) => {
    const typingNow = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || '');
    if (event.key === '/' && !typingNow && !$('detail').open) { event.preventDefault(); $('search').focus(); }
    if (event.key === 'Escape' && event.target === $('search') && wish.q !== '') { $('search').value = ''; wish.q = ''; remember(); }
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) { load(); listen(); return; }
    if (stream) stream.close();
    clearInterval(poll);
  });
  setInterval(ages, 5000);
  recall();
  load();
  listen();
})();
`;
