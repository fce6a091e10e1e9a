/** The body of the fleet page; script.ts fills it. Works with a keyboard and a screen reader. */
export const FLEET_MARKUP = `<body>
<a class="skip" href="#rows">To the devices</a>
<header>
  <h1>Fleet</h1>
  <p id="live" role="status" data-state="wait"><span class="dot" aria-hidden="true"></span><span id="live-text">Connecting</span></p>
</header>
<main>
  <noscript><p class="note">This page needs JavaScript.</p></noscript>
  <div id="conditions" role="group" aria-label="Show devices that are"></div>
  <div class="tools">
    <label class="search"><span class="label">Search</span><input id="search" type="search" autocomplete="off" spellcheck="false" maxlength="100" placeholder="Device, label, version, code  ( / )"></label>
    <label><span class="label">Channel</span><select id="channel"><option value="">All channels</option></select></label>
    <label><span class="label">Order</span><select id="sort"><option value="condition">Trouble first</option><option value="device">Name</option><option value="seen">Last heard</option></select></label>
  </div>
  <p id="note" class="note" role="alert" hidden></p>
  <table id="table">
    <caption class="hidden">Devices</caption>
    <thead><tr><th scope="col">Device</th><th scope="col">State</th><th scope="col">Channels</th><th scope="col">Reason</th><th scope="col">Last heard</th></tr></thead>
    <tbody id="rows" tabindex="-1"></tbody>
  </table>
  <div id="empty" hidden><p id="empty-title"></p><p id="empty-text"></p></div>
  <nav id="pages" aria-label="Pages" hidden><button id="back" type="button">Back</button><p id="place" role="status"></p><button id="next" type="button">Next</button></nav>
</main>
<footer><p id="about"></p></footer>
<dialog id="detail" aria-labelledby="detail-title"><div class="head"><h2 id="detail-title"></h2><button id="close" type="button">Close</button></div><div id="detail-body"></div></dialog>
</body>`;
