// What a program prints: a long line goes on below itself, further in than where its own text begins, so that the
// branches of a tree stay branches. Without this script, pages.css gives every line the same indent.
document.addEventListener("DOMContentLoaded", () => {
  for (const line of document.querySelectorAll('.language-text pre > code > span[id^="__line"]')) {
    const indent = Math.min(line.textContent.match(/^[ \u2502\u251c\u2514\u2500]*/)[0].length + 2, 18)
    line.style.paddingLeft = `${indent}ch`
    line.style.textIndent = `-${indent}ch`
  }
})
