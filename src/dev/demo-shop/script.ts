/**
 * The shop's only script, served as /roxy.js. It counts down and warns a minute before the time is over, in a live region;
 * without it the pages say until when tickets are held, and every button works all the same. It counts from the seconds
 * that were left when the page was made, since the browser's clock may be wrong.
 */
export const script = `
const held = document.querySelector('[data-seconds-left]');
const shown = held.querySelector('[role=timer]');
const announcement = document.querySelector('[role=status]');
const endsAtMs = performance.now() + Number(held.dataset.secondsLeft) * 1000;
const warnSeconds = 60;
let announced = '';
function announce(text) {
  if (text === announced) return;
  announced = text;
  announcement.textContent = text;
}
function count() {
  const left = Math.max(0, Math.ceil((endsAtMs - performance.now()) / 1000));
  shown.textContent = Math.floor(left / 60) + ':' + String(left % 60).padStart(2, '0') + ' left';
  if (left > warnSeconds) return;
  held.classList.add('ending');
  announce(left > 0 ? held.dataset.warning : held.dataset.over);
  if (left > 0) return;
  clearInterval(counting);
  document.querySelector('form[data-when-over]')?.requestSubmit();
}
const counting = setInterval(count, 250);
count();
`;
