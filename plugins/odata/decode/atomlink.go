package decode

import (
	"bytes"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// readEntryLink reads a link of an entry, which may contain an expanded entity or feed.
func (a *Atom) readEntryLink(s *structure, tag scan.XMLTag, rel []byte, scope int) *scan.Error {
	b := a.text
	i := s.schema.navigation(rel)
	depth := s.depth - 1
	if i < 0 || (depth < 0 && !tag.Empty) { // skipped, or nested too deep, which elementEnds reports
		end, _, err := a.elementEnds(tag, s.depth)
		s.P = end
		return err
	}
	p := &s.properties[i]
	pos := tag.End
	name := tag.Name(b)
	// Package kernel may read the entries of the feed, whose depth is far from the limit.
	isUsual := !tag.Empty && scope == s.parent.scope && s.readsEntry && s.Properties.Disabled == 0 &&
		depth > 2*minDepth && string(name) == "link"
	if isUsual && p.column.Kind == NavigationToMany && bytes.HasPrefix(b[pos:], s.feedFront) && s.BeginColumn(i) {
		done, err := a.readUsualFeed(s, p, pos)
		if done || err != nil {
			return err
		}
		pos = s.P
	}
	for !tag.Empty {
		child, err := a.child(pos, name)
		if err != nil {
			return err
		}
		if child.Closing {
			pos = child.End
			break
		}
		inner, namespace, local := a.namespaces.enter(b, child, scope)
		isInline := namespace == metadataNamespace && string(local) == "inline"
		if isInline && s.BeginColumn(i) {
			err = a.readInline(s, p, child, inner, depth)
			pos = s.P
		} else {
			if isInline {
				s.fail(wholeStruct, repeated(p.column))
			}
			pos, err = scan.XMLElement(b, child.Start, depth)
		}
		if err != nil {
			return err
		}
	}
	if p.column.Inline && !s.has(i) { // the link has no inline element
		s.fail(wholeStruct, p.column.conversionError(expectedInline, "a link to it"))
	}
	s.P = pos
	s.leaveLink()
	return nil
}

// leaveLink continues in the entry, not at the property that advance expects after the column.
func (s *structure) leaveLink() {
	s.Previous = &s.head.Property
	s.Property = &s.around.Property
}

// readUsualFeed reads the expanded feed of a link whose start tag s.feedFront follows, at pos. done is false if the
// link continues at s.P in an unusual way.
func (a *Atom) readUsualFeed(s *structure, p *property, pos int) (done bool, err *scan.Error) {
	inner := s.structureIn(p.Column)
	scope := s.parent.scope
	depth := s.depth - 1
	kernel.Put(s.Arena, s.O, branchValue)
	next, end, feedResult, err := a.readInlineFeed(inner, pos+len(s.feedFront), openElement{feedName, scope}, depth-2,
		s.O+p.Optional)
	if err != nil {
		return false, err
	}
	if bytes.HasPrefix(a.text[next:], s.feedBack) {
		s.endStruct(p, next+len(s.feedBack), end, feedResult)
		s.leaveLink()
		return true, nil
	}
	tag, err := scan.XMLTagAt(a.text, pos) // the inline element, which contains more than the feed
	if err != nil {
		return false, err
	}
	return false, a.readInlineChildren(s, p, tag, scope, depth, next, end, feedResult)
}

// navigation returns the column of the navigation property that a link's relation names, or -1.
func (r *RowSchema) navigation(rel []byte) (column int) {
	slash := bytes.LastIndexByte(rel, '/')
	if slash < 0 || !bytes.HasSuffix(rel[:slash], []byte("/related")) {
		return -1
	}
	i, ok := r.columnByName[string(rel[slash+1:])]
	if !ok || !r.Columns[i].isNavigation() {
		return -1
	}
	return i
}

// readInline reads the expanded entity or feed in an element.
func (a *Atom) readInline(s *structure, p *property, tag scan.XMLTag, scope, depth int) *scan.Error {
	if a.namespaces.isNull(a.text, tag, scope) {
		end, err := scan.XMLElement(a.text, tag.Start, depth)
		if err == nil {
			dst, problem := appendNull(a.out.Data[:s.O], p.column, true)
			s.endValue(p, end, dst, problem)
		}
		return err
	}
	if depth <= 0 && !tag.Empty {
		_, err := scan.XMLElement(a.text, tag.Start, depth)
		return err
	}
	kernel.Put(s.Arena, s.O, branchValue)
	return a.readInlineChildren(s, p, tag, scope, depth, tag.End, -1, result{})
}

// readInlineChildren reads the children of an inline element from pos on. If the entity or feed was read before, end is
// the end of its output and nestedResult its result; else end is negative.
func (a *Atom) readInlineChildren(s *structure, p *property, tag scan.XMLTag, scope, depth, pos, end int,
	nestedResult result) *scan.Error {
	inner := s.structureIn(p.Column)
	o := s.O + p.Optional
	expectedName := entryName
	isMany := p.column.Kind == NavigationToMany
	if isMany {
		expectedName = feedName
	}
	for !tag.Empty {
		child, err := a.child(pos, tag.Name(a.text))
		if err != nil {
			return err
		}
		if child.Closing {
			pos = child.End
			break
		}
		inside, namespace, local := a.namespaces.enter(a.text, child, scope)
		isExpected := namespace == atomNamespace && bytes.Equal(local, expectedName)
		switch {
		case !isExpected || end >= 0 || (isMany && !child.Empty && depth <= 1):
			// It is ignored, like a second entity or feed; a feed that is nested too deep is an error.
			pos, err = scan.XMLElement(a.text, child.Start, depth-1)
		case isMany && child.Empty:
			pos = child.End
			end = a.writeCount(o, o+1, 0)
		case isMany:
			feed := openElement{child.Name(a.text), inside}
			pos, end, nestedResult, err = a.readInlineFeed(inner, child.End, feed, depth-2, o)
		default:
			inner.MaxRows = 0
			pos, end, err = a.entry(inner, child, inside, o, depth-1)
			nestedResult = inner.result
		}
		if err != nil {
			return err
		}
	}
	switch {
	case end >= 0:
		s.endStruct(p, pos, end, nestedResult)
	case p.column.Kind == NavigationToMany:
		s.endStruct(p, pos, a.writeCount(o, o+1, 0), nestedResult)
	default:
		dst, problem := appendNull(a.out.Data[:s.O], p.column, true)
		s.endValue(p, pos, dst, problem)
	}
	return nil
}

// readInlineFeed reads the inside of an expanded feed, which starts at pos. It returns the ends of its text and of its
// output, which starts at o. depth is the nesting allowed in the feed. The result contains the feed's next link, if it
// has one.
func (a *Atom) readInlineFeed(s *structure, pos int, inside openElement,
	depth, o int) (next, end int, feedResult result, err *scan.Error) {
	rows := pos
	count := 0
	end = o + 1
	var link *nestedNextLink
	insertAt := 0
	for {
		if feedEnd := a.endTag(pos, inside.name); feedEnd > 0 {
			insertAt = pos
			pos = feedEnd
			break
		}
		s.begin(pos, end)
		s.repeat()
		a.openEntry(s, openElement{entryName, inside.scope}, depth-1)
		s.Place = kernel.InFeed
		if s.readsEntry { // else Place is still InFeed, and Go opens the next entry
			if pos, end, err = a.readInside(s, scan.XMLTag{}); err != nil {
				return 0, 0, feedResult, err
			}
		}
		count += s.RowCount
		if s.Place == kernel.InFeed { // before a child that package kernel did not open
			child, err := a.child(pos, inside.name)
			if err != nil {
				return 0, 0, feedResult, err
			}
			pos = child.End
			if child.Closing {
				insertAt = child.Start
				break
			}
			scope, namespace, local := a.namespaces.enter(a.text, child, inside.scope)
			if namespace != atomNamespace || string(local) != "entry" {
				if pos, err = scan.XMLElement(a.text, child.Start, depth); err != nil {
					return 0, 0, feedResult, err
				}
				isLink := namespace == atomNamespace && string(local) == "link"
				if isLink && link == nil && string(relation(a.text, child)) == "next" {
					href, err := a.linkOf(a.text, child, scope)
					if err != nil {
						return 0, 0, feedResult, err
					}
					if href.Href != "" {
						link = &nestedNextLink{link: href, linkAt: textRange{child.Start, pos}, rows: rows,
							feed: inside, depth: depth, structure: s, property: strings.TrimSuffix(s.path, "/")}
					}
				}
				continue
			}
			if scope != inside.scope { // the next entries do not have the bindings of this entry
				s.MaxRows = 0
			}
			if pos, end, err = a.entry(s, child, scope, end, depth); err != nil {
				return 0, 0, feedResult, err
			}
			count += s.RowCount
			if s.Place == kernel.InFeed {
				continue // package kernel read this entry to its end
			}
		}
		count++ // the entry that Go ended: RowCount counts only the entries that package kernel ended
		feedResult = feedResult.with(s.result)
	}
	if link != nil { // the feed's own link comes before the links in its entries
		link.insertAt = insertAt
		feedResult.link = link
	}
	return pos, a.writeCount(o, end, count), feedResult, nil
}
