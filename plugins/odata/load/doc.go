// Package load reads an entity set whole, page by page, as far as that is the same for every way to write pages and for
// every version of OData: which page comes next, that none is missing and none comes for ever, and the offset from
// which a load goes on after a restart. It does no I/O and holds nothing between calls: a [Page] is made from a
// [Position], its rows are shown to it, and [Page.Next] says where to go on.
//
// # Walks
//
// A load begins with the set's first page, in the order of its keys where the service sorts. From there it goes by one
// of three walks, each a type of its own:
//
//   - byLinks follows the service's next links. A link that holds the last row's key is safe whatever rows come and go;
//     one that counts rows is not.
//   - byKey asks for the rows after the last key. It needs a service that sorts and compares. One question with two
//     keys shows whether it does, before the first page is asked for by key, see keysHeld.
//   - bySkip asks for the rows after so many.
//
// The first page is the same in all of them, so the walk is chosen once its end says that there is more, and before any
// row is handed on that depends on the choice. A page that ends in silence below the service's count leads from one
// walk to the next, without a row twice. What was learned of the service ([Facts]) is kept in the offset, from load to
// load, so that it is asked once.
//
// # Auditors
//
// Auditors look at the rows that come, and never steer. Each has a verdict, with its reason:
//
//   - order: a page that was asked for by key brings a row that is not after the one before.
//   - count: fewer rows came than the service counts.
//   - repeats: a key came on two pages while pages were asked for by counting, so that another row may never have come.
//   - circle: the pages, or the links, are those that came before. Where the links do, the load goes on by key from
//     the last row, if the service sorts and compares; else this one fails the load at once.
//
// After a verdict the load begins again: with the next walk, where the service is to blame, else with the same one, at
// most maxReadings times in all; then it fails. Where no row may come twice (exactly-once) it fails at once.
// There is no repair amid a load.
//
// # Files
//
//   - set.go: what is read ([Set]), and the addresses of its pages.
//   - position.go, fields.go: where a load stands ([Position]), and how it is stored.
//   - page.go: an answer that is being read ([Page]): rows go to the auditors and come back to be handed on.
//   - next.go: all transitions between positions. answers.go: those after questions and after refusals.
//   - order.go, repeats.go, trail.go: the auditors of order, of repeats, of circles. That of counts is in next.go.
//   - cursor.go: loads that read what changed since the one before.
//   - token.go: whether a next link counts rows.
//
// # Invariants
//
//   - No load ends as complete with fewer rows than the service counts, unless the service says that it counts fewer by
//     now and no row can have been hidden.
//   - Only the position is carried from page to page: any page may be read by another instance, or twice.
//   - A page that answers a question hands no row on.
package load
