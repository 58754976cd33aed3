// The view of each kind of data that contents.py makes.

/** What there is to see, as elements in order. heading: the tag of their title, for a page that has others above it. */
function viewOf(data, heading) {
  return { trace: traceView, comparison: comparisonView, map: mapView }[data.kind](data, heading);
}
