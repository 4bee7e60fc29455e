// Package paging reads an entity set whole, page by page, as far as that is the same for every way to write pages and
// for every version of OData: which page comes next, that none is missing and none comes for ever, and the offset from
// which a load goes on after a restart. It does no I/O and holds nothing between calls: a [Page] is made from a
// [Position], its rows are shown to it, and [Page.AfterLoad] says where to go on.
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
// walk to the next, without a row twice. What was learned of the service ([Capabilities]) is kept in the offset, from
// load to load, so that it is asked once.
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
// From the lowest one up; none uses what stands in a later one:
//
//   - trail.go: hashes, and the auditor of circles. facts.go: what is known of a service.
//   - position.go, fields.go: where a load stands ([Position]), and how it is stored.
//   - cursor.go: loads that read what changed since the one before.
//   - rows.go: rows as they are shown to a page ([Rows]), and what tells one page from another.
//   - set.go: what is read ([Set]), and the addresses of its pages. token.go: whether a next link counts rows.
//   - order.go, repeats.go: the auditors of order and of repeats. known.go: rows that came in loads before.
//   - page.go: an answer that is being read ([Page]): rows go to the auditors and come back to be handed on.
//   - turn.go: how a load ends or begins again; walks.go: how the next page is come by.
//   - answers.go: what follows an answer to a question, or a refusal; next.go: what follows a page, with the auditor of
//     counts.
//
// # Invariants
//
//   - No load ends as complete with fewer rows than the service counts, unless the service says that it counts fewer by
//     now and no row can have been hidden.
//   - Only the position is carried from page to page: any page may be read by another instance, or twice.
//   - A page that answers a question hands no row on.
package paging
