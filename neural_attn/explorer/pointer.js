// Mouse, pen and fingers on the matrix.

/** Show the cell under the pointer, choose it with a click, zoom and pan. */
export function listenToPointer(matrix) {
  const { canvas } = matrix;
  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!matrix.view) return;
    const before = pointers.get(event.pointerId);
    if (before) {
      drag(matrix, pointers, before, event);
      moved += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
      pointers.set(event.pointerId, event);
    }
    matrix.hover = matrix.cellAt(event);
    if (before) matrix.redraw();
    else matrix.repoint();
  });
  const end = (event) => pointers.delete(event.pointerId);
  canvas.addEventListener("pointerup", (event) => {
    end(event);
    const cell = moved < 6 && matrix.view ? matrix.cellAt(event) : null;
    if (!cell) return;
    matrix.scene.store.set({
      query: matrix.view.rows.members[cell.row][0], key: matrix.view.columns.members[cell.column][0],
    });
  });
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", (event) => {
    end(event);
    matrix.hover = null;
    matrix.repoint();
  });
  // One finger scrolls the page past a matrix that is not zoomed; two are ours.
  canvas.addEventListener("touchmove", (event) => {
    if (event.touches.length > 1) event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => matrix.zoomBy(2, matrix.cellAt(event) ?? undefined));
  canvas.addEventListener("wheel", (event) => {
    // Scrolling the page stays possible: zoom with Ctrl, by pinching, or once focused.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    matrix.zoomBy(Math.exp(-event.deltaY / 300), matrix.cellAt(event) ?? undefined);
  }, { passive: false });
}

/** Pan with one pointer, pinch with two. */
function drag(matrix, pointers, before, event) {
  const other = [...pointers.values()].find((one) => one.pointerId !== event.pointerId);
  if (other) {
    const spread = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    matrix.zoomBy(spread(event) / Math.max(spread(before), 1), matrix.cellAt(middle) ?? undefined);
    return;
  }
  if (matrix.zoom.scale === 1) return;
  matrix.zoom.x -= event.clientX - before.clientX;
  matrix.zoom.y -= event.clientY - before.clientY;
}
