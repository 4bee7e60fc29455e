package completeness

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// change is an entry of a service's log.
type change struct {
	row       // as it was inserted, changed or deleted
	isDeleted bool
}

// insertedRows returns the rows that were inserted, or changed and thereby stored elsewhere.
func (s *service) insertedRows() (rows []row) {
	for _, c := range s.log {
		if !c.isDeleted {
			rows = append(rows, c.row)
		}
	}
	return rows
}

// problemOfChanges returns what is wrong with the changes after a load, or "".
func (r *result) problemOfChanges(s *service) string {
	d := &s.description
	isFoldable := d[keyType] != "duplicate" && d[keyType] != "generated" &&
		(d[notShown] == "none" || d[notShown] == "under expand") && d[nodeCount] == "one"
	switch {
	case !r.hasChanges:
		return ""
	case d[tokenUse] == "ignored":
		return "accepts changes from a service that ignores the delta token"
	case !isFoldable || len(r.missing) > 0:
		return ""
	}
	var expected []int
	for _, stored := range s.stored {
		expected = append(expected, stored.id)
	}
	slices.Sort(expected)
	if rows := slices.Sorted(maps.Values(r.state)); !slices.Equal(rows, expected) {
		return fmt.Sprintf("changes are lost: expected the rows %v, found %v", expected, rows)
	}
	return ""
}

// firstRows is the token of a link to the first rows, from an empty page.
const firstRows = "start"

// beginsEmpty reports whether a request is answered by an empty page with a link to its rows.
func (s *service) beginsEmpty(options url.Values) bool {
	return s.description[emptyPages] == "one at the start" && !options.Has("$skiptoken") && !options.Has("$filter") &&
		!options.Has("$skip") && !options.Has("$top") && !strings.Contains(options.Get("$orderby"), "desc")
}

// document returns a page of v4, with its members in the order and with the names that the description demands. rows is
// the member with the rows.
func (s *service) document(rows []byte, isEmpty bool, counted int, link, token string) string {
	w := s.wire
	front := []string{w.context}
	if s.description[linkBase] == "to the context" {
		front[0] = strings.Replace(w.context, "$metadata", "c/$metadata", 1)
	}
	base := map[string]string{"to the request": "", "to the context": "../"}[s.description[linkBase]]
	if counted >= 0 {
		front = append(front, fmt.Sprintf(w.count, counted))
	}
	var links []string
	if link != "" {
		links = append(links, fmt.Sprintf(w.nextLink, base+link))
	}
	if token != "" {
		links = append(links, strings.Replace(fmt.Sprintf(w.deltaLink, token), "X?", base+"X?", 1))
	}
	if s.isFailing {
		links = []string{`"@odata.error":{"code":"500","message":"cancelled"}`}
	}
	value := []string{string(rows)}
	if isEmpty && s.description[emptyPages] != "with value" {
		value = nil
	}
	members := slices.Concat(front, value, links)
	switch s.description[annotations] {
	case "in front":
		members = slices.Concat(front, links, value)
	case "mixed":
		members = slices.Concat(links, value, front)
		slices.Reverse(members)
		for i := range members {
			if i%2 == len(s.requests)%2 {
				members[i] = strings.Replace(members[i], `"@odata.`, `"@`, 1)
			}
		}
	}
	body := w.begin + strings.Join(members, ",") + w.end
	if s.description[annotations] == "short names" {
		body = strings.ReplaceAll(body, `"@odata.`, `"@`)
	}
	return body
}

// changesSince answers a delta link of v4.
func (s *service) changesSince(options url.Values) string {
	token := options.Get("$deltatoken")
	if s.description[tokenUse] == "ignored" {
		s.hasNoToken = true
		return s.feed(options)
	}
	// Links of a load contain D1, and all changes since its start follow.
	since, _ := strconv.Atoi(strings.TrimPrefix(token, "D"))
	items := s.changeItems(s.log[since-1:], options)
	link := ""
	next := "D" + strconv.Itoa(len(s.log)+1)
	if s.description[changePages] == "on pages of one" {
		position, _ := strconv.Atoi(options.Get("$skiptoken"))
		items = items[min(position, len(items)):]
		if len(items) > 1 {
			items = items[:1]
			next = ""
			link = "X?$deltatoken=" + token + "&$skiptoken=" + strconv.Itoa(position+1)
		}
	}
	if s.description[trackingToken] == "missing once" {
		next = ""
	}
	return s.document([]byte(s.wire.rows+"["+strings.Join(items, ",")+"]"), len(items) == 0, -1, link, next)
}

// changeItems returns the items of a delta that report changes.
func (s *service) changeItems(changes []change, options url.Values) (items []string) {
	for _, c := range changes {
		whole := "{" + string(s.appendRow(nil, c.row, 0, options)) + "}"
		deleted := s.tombstone(c.row)
		if c.isDeleted {
			items = append(items, deleted)
			continue
		}
		switch s.description[changedRows] {
		case "partial":
			items = append(items, "{"+string(s.appendKey(nil, c.row, 0))+"}")
		case "with links":
			items = append(items, s.changedLink(c.row, "$link", "F"), whole, s.changedLink(c.row, "$deletedLink", "F"))
		case "with links, expanded":
			items = append(items, s.changedLink(c.row, "$deletedLink", "E"))
		case "three times":
			items = append(items, whole, deleted, whole)
		case "deleted last":
			items = append(items, whole, deleted)
		default:
			items = append(items, whole)
		}
	}
	return items
}

func (s *service) changedLink(r row, kind, relationship string) string {
	return fmt.Sprintf(`{"@odata.context":"$metadata#X/%s","source":"X%s","relationship":"%s","target":"U(1)"}`, kind,
		s.predicate(r), relationship)
}

func (s *service) tombstone(r row) string {
	switch s.description[tombstones] {
	case "4.0, absolute":
		return `{"@odata.context":"/s/$metadata#X/$deletedEntity","reason":"deleted","id":"/s/X` + s.predicate(r) + `"}`
	case "4.01":
		return `{"@removed":{"reason":"deleted"},"@id":"X` + s.predicate(r) + `"}`
	case "4.01 by key":
		return string(s.appendKey([]byte(`{"@removed":{"reason":"deleted"},`), r, 0)) + "}"
	}
	return `{"@odata.context":"$metadata#X/$deletedEntity","id":"X` + s.predicate(r) + `","reason":"deleted"}`
}

// predicate returns the key predicate of a row.
func (s *service) predicate(r row) string {
	var parts []string
	for part, name := range s.keyNames() {
		literal := r.key[part]
		if !s.isNumber(part) {
			literal = "'" + literal + "'"
		}
		if len(r.key) > 1 {
			literal = name + "=" + literal
		}
		parts = append(parts, literal)
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// entity answers a request for one row.
func (s *service) entity(path string, options url.Values) response {
	for _, r := range s.stored {
		if path == "/s/X"+s.predicate(r) {
			return response{status: 200, body: `{"@odata.context":"$metadata#X/$entity",` +
				string(s.appendRow(nil, r, 0, options)) + "}"}
		}
	}
	return response{status: 404, body: s.wire.refusal}
}

// changeAfterLoad changes the set before a poll: before the first one the first row is changed, one in the middle is
// deleted and one is inserted, and before the third one the first row is changed again. Before the others nothing
// changes.
func (s *service) changeAfterLoad(poll int) {
	if poll%2 == 0 {
		return
	}
	if n := len(s.stored); n > 0 {
		s.stored = slices.Clone(s.stored)
		s.stored[0].id += 10_000
		s.log = append(s.log, change{row: s.stored[0]})
		if poll == 1 && n > 1 {
			s.remove(n / 2)
		}
	}
	if poll == 1 {
		key := make([]string, len(s.keyNames()))
		for part := range key {
			key[part] = "zzz"
			if s.isNumber(part) {
				key[part] = "99995"
			}
		}
		s.insert(key)
	}
}
