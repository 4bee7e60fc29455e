package decode

import (
	"bytes"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// entryLink reads a link of an entry, which may contain an expanded entity or feed.
func (d *Atom) entryLink(s *structure, tag scan.XMLTag, rel []byte, scope int) *scan.Error {
	b, i, depth := d.text, s.schema.navigation(rel), s.depth-1
	if i < 0 || depth < 0 && !tag.Empty {
		end, _, err := d.elementEnds(tag, s.depth)
		s.P = end
		return err
	}
	p, pos, name := &s.properties[i], tag.End, tag.Name(b)
	isUsual := !tag.Empty && scope == s.parent.scope && s.readsEntry && s.Properties.Disabled == 0 &&
		depth > 2*minDepth && string(name) == "link"
	if isUsual && p.column.Kind == NavigationToMany && bytes.HasPrefix(b[pos:], s.feedFront) && s.BeginColumn(i) {
		done, err := d.usualFeed(s, p, pos)
		if done || err != nil {
			return err
		}
		pos = s.P
	}
	for !tag.Empty {
		child, err := d.child(pos, name)
		if err != nil {
			return err
		}
		if child.Closing {
			pos = child.End
			break
		}
		inside, namespace, local := d.namespaces.enter(b, child, scope)
		isInline := namespace == metadataNamespace && string(local) == "inline"
		if isInline && s.BeginColumn(i) {
			err = d.inline(s, p, child, inside, depth)
			pos = s.P
		} else {
			if isInline {
				s.fail(-1, repeated(p.column))
			}
			pos, err = scan.XMLElement(b, child.Start, depth)
		}
		if err != nil {
			return err
		}
	}
	if p.column.Inline && s.stamps[i] != s.Stamp {
		s.fail(-1, p.column.conversionError(expectedInline, "a link to it"))
	}
	s.P, s.Before, s.Property = pos, &s.head.Property, &s.around.Property
	return nil
}

// usualFeed reads the expanded feed of a link whose start tag s.feedFront follows, at pos. done reports that the rest
// of the link was usual as well.
func (d *Atom) usualFeed(s *structure, p *property, pos int) (done bool, err *scan.Error) {
	inner, scope, depth := s.structureIn(p.Column), s.parent.scope, s.depth-1
	kernel.Put(s.Arena, s.O, 2)
	next, end, found, err := d.inlineFeed(inner, pos+len(s.feedFront), openElement{feedName, scope}, depth-2,
		s.O+p.Optional)
	if err != nil {
		return false, err
	}
	if bytes.HasPrefix(d.text[next:], s.feedBack) {
		s.endStruct(p, next+len(s.feedBack), end, found)
		s.Before, s.Property = &s.head.Property, &s.around.Property
		return true, nil
	}
	tag, err := scan.XMLTagAt(d.text, pos)
	if err != nil {
		return false, err
	}
	return false, d.inlineChildren(s, p, tag, scope, depth, next, end, found)
}

// navigation returns the column of the navigation property that a link's relation names, or -1.
func (l *RowSchema) navigation(rel []byte) (column int) {
	slash := bytes.LastIndexByte(rel, '/')
	if slash < 0 || !bytes.HasSuffix(rel[:slash], []byte("/related")) {
		return -1
	}
	i, ok := l.names[string(rel[slash+1:])]
	if !ok || !l.Columns[i].isNavigation() {
		return -1
	}
	return i
}

// inline reads the expanded entity or feed in an element.
func (d *Atom) inline(s *structure, p *property, tag scan.XMLTag, scope, depth int) *scan.Error {
	if d.namespaces.isNull(d.text, tag, scope) {
		end, err := scan.XMLElement(d.text, tag.Start, depth)
		if err == nil {
			dst, problem := appendNull(d.out.Data[:s.O], p.column, true)
			s.endValue(p, end, dst, problem)
		}
		return err
	}
	if depth <= 0 && !tag.Empty {
		_, err := scan.XMLElement(d.text, tag.Start, depth)
		return err
	}
	kernel.Put(s.Arena, s.O, 2)
	return d.inlineChildren(s, p, tag, scope, depth, tag.End, -1, result{})
}

// inlineChildren reads the children of an inline element from pos on. end, if not negative, is the end of the output of
// the entity or feed, and found is what was found in it.
func (d *Atom) inlineChildren(s *structure, p *property, tag scan.XMLTag, scope, depth, pos, end int,
	found result) *scan.Error {
	inner, o, wanted, isMany := s.structureIn(p.Column), s.O+p.Optional, entryName, p.column.Kind == NavigationToMany
	if isMany {
		wanted = feedName
	}
	for !tag.Empty {
		child, err := d.child(pos, tag.Name(d.text))
		if err != nil {
			return err
		}
		if child.Closing {
			pos = child.End
			break
		}
		inside, namespace, local := d.namespaces.enter(d.text, child, scope)
		isWanted := namespace == atomNamespace && bytes.Equal(local, wanted)
		switch {
		case !isWanted || end >= 0 || isMany && !child.Empty && depth <= 1:
			pos, err = scan.XMLElement(d.text, child.Start, depth-1)
		case isMany && child.Empty:
			pos, end = child.End, d.writeCount(o, o+1, 0)
		case isMany:
			pos, end, found, err = d.inlineFeed(inner, child.End, openElement{child.Name(d.text), inside}, depth-2, o)
		default:
			inner.MaxRows = 0
			pos, end, err = d.entry(inner, child, inside, o, depth-1)
			found = inner.result
		}
		if err != nil {
			return err
		}
	}
	switch {
	case end >= 0:
		s.endStruct(p, pos, end, found)
	case p.column.Kind == NavigationToMany:
		s.endStruct(p, pos, d.writeCount(o, o+1, 0), found)
	default:
		dst, problem := appendNull(d.out.Data[:s.O], p.column, true)
		s.endValue(p, pos, dst, problem)
	}
	return nil
}

// inlineFeed reads the inside of an expanded feed, which starts at pos. A next link may lead to a further page of it.
func (d *Atom) inlineFeed(s *structure, pos int, inside openElement, depth, o int) (next, end int, found result,
	err *scan.Error) {
	rows, count := pos, 0
	end = o + 1
	var link *nestedNextLink
	rowsAt := 0
	for {
		if feedEnd := d.endTag(pos, inside.name); feedEnd > 0 {
			rowsAt, pos = pos, feedEnd
			break
		}
		s.begin(pos, end)
		s.repeat()
		d.openEntry(s, openElement{entryName, inside.scope}, depth-1)
		if s.Place = kernel.InFeed; s.readsEntry {
			if pos, end, err = d.readInside(s, scan.XMLTag{}); err != nil {
				return 0, 0, found, err
			}
		}
		count += s.RowCount
		if s.Place == kernel.InFeed {
			child, err := d.child(pos, inside.name)
			if err != nil {
				return 0, 0, found, err
			}
			pos = child.End
			if child.Closing {
				rowsAt = child.Start
				break
			}
			scope, namespace, local := d.namespaces.enter(d.text, child, inside.scope)
			if namespace != atomNamespace || string(local) != "entry" {
				if pos, err = scan.XMLElement(d.text, child.Start, depth); err != nil {
					return 0, 0, found, err
				}
				if namespace == atomNamespace && string(local) == "link" && link == nil &&
					string(relation(d.text, child)) == "next" {
					href, err := d.linkOf(d.text, child, scope)
					if err != nil {
						return 0, 0, found, err
					}
					if href.Href != "" {
						link = &nestedNextLink{link: href, linkAt: textRange{child.Start, pos}, rows: rows,
							feed: inside, depth: depth, structure: s, property: strings.TrimSuffix(s.path, "/")}
					}
				}
				continue
			}
			if scope != inside.scope {
				s.MaxRows = 0
			}
			if pos, end, err = d.entry(s, child, scope, end, depth); err != nil {
				return 0, 0, found, err
			}
			if count += s.RowCount; s.Place == kernel.InFeed {
				continue
			}
		}
		count++
		found = found.with(s.result)
	}
	if link != nil { // the feed's own link comes before the links in its entries
		link.rowsAt, found.link = rowsAt, link
	}
	return pos, d.writeCount(o, end, count), found, nil
}
