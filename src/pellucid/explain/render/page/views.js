// The view for each kind of data that contents.py makes.

/** The view of data, as elements in order. heading: the tag of its title, such as "h2" on a page that has an h1. */
function viewOf(data, heading) {
  return { trace: traceView, comparison: comparisonView, score: scoreView, sparse: sparseView, alignment: alignmentView, map: mapView }[data.kind](data, heading);
}
