package notify

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/uri"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// What SAP Gateway sends to a listener is written down nowhere. Taken is what is known of its notification store (an
// entry of type Notification, whose link `via` leads to the entity), the entity by itself, feeds of both, their twins
// in JSON, and the headers x-sap-poke-… with or without a body.

// notificationEntry is an entry of a notification, or of a feed of subscriptions.
type notificationEntry struct {
	id, term   string
	links      map[string]string
	properties map[string]string
	// inside are entries in the entry's links.
	inside []notificationEntry
}

// maxEntries bounds what one document may hold: each may become a request.
const maxEntries = 10_000

func (n *notificationEntry) text(name string) string { return n.properties[name] }

// address is where the entry itself is.
func (n *notificationEntry) address() string {
	for _, rel := range []string{"edit", "self"} {
		if href := n.links[rel]; href != "" {
			return href
		}
	}
	return n.id
}

// readEntries reads the entries of a feed, or a single one, in Atom or JSON, and a feed's link to the next page.
func readEntries(body []byte) (entries []notificationEntry, next string, err error) {
	body = bytes.TrimLeft(body, " \t\r\n\xef\xbb\xbf")
	if len(body) > 0 && body[0] == '{' {
		return jsonEntries(body)
	}
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil {
		return nil, "", err
	} else if kind != markup.Open || r.Local != "feed" && r.Local != "entry" {
		return nil, "", errors.New("expected an entry or a feed, found " + strconv.Quote(feed.Clip(r.Local)))
	}
	if r.Local == "entry" {
		n, err := atomEntry(r, 0)
		if err == nil {
			err = toEnd(r)
		}
		return []notificationEntry{n}, "", err
	}
	for {
		kind, err := r.Next()
		switch {
		case err != nil:
			return nil, "", err
		case kind == markup.Close:
			return entries, next, toEnd(r)
		case kind != markup.Open:
			continue
		case r.Local == "entry":
			n, err := atomEntry(r, 0)
			if err != nil {
				return nil, "", err
			}
			if entries = append(entries, n); len(entries) > maxEntries {
				return nil, "", errTooMany
			}
			continue
		case r.Local == "link":
			if rel, _ := r.Attribute("rel"); rel == "next" {
				next, _ = r.Attribute("href")
			}
		}
		if err := r.Skip(); err != nil {
			return nil, "", err
		}
	}
}

var errTooMany = errors.New("expected at most " + strconv.Itoa(maxEntries) + " entries, found more")

// toEnd reads what follows the root: nothing may.
func toEnd(r *markup.Reader) error {
	for {
		if kind, err := r.Next(); err != nil || kind == markup.End {
			return err
		}
	}
}

// maxNested bounds how deep entries stand in links of entries.
const maxNested = 8

// atomEntry reads an entry whose start tag was read.
func atomEntry(r *markup.Reader, depth int) (n notificationEntry, err error) {
	n.links, n.properties = map[string]string{}, map[string]string{}
	err = inside(r, func() error {
		switch r.Local {
		case "id":
			n.id, err = r.Content()
			n.id = strings.TrimSpace(n.id)
			return err
		case "title", "updated":
			name := r.Local
			text, err := r.Content()
			n.put(name, text)
			return err
		case "author":
			return inside(r, func() error {
				if r.Local != "name" {
					return r.Skip()
				}
				text, err := r.Content()
				n.put("user", text)
				return err
			})
		case "category":
			n.term, _ = r.Attribute("term")
		case "link":
			return n.atomLink(r, depth)
		case "content":
			return inside(r, func() error {
				if r.Local != "properties" {
					return r.Skip()
				}
				return n.atomProperties(r)
			})
		case "properties":
			return n.atomProperties(r)
		}
		return r.Skip()
	})
	return n, err
}

// inside calls do for each element in the one whose start tag was read; do reads it to its end.
func inside(r *markup.Reader, do func() error) error {
	for {
		switch kind, err := r.Next(); {
		case err != nil:
			return err
		case kind == markup.Close:
			return nil
		case kind == markup.Open:
			if err := do(); err != nil {
				return err
			}
		case kind == markup.End:
			return errors.New("expected the end of an element, found the document's")
		}
	}
}

// put notes a property where the entry says nothing of it yet.
func (n *notificationEntry) put(name, text string) {
	if _, given := n.properties[name]; !given {
		n.properties[name] = strings.TrimSpace(text)
	}
}

func (n *notificationEntry) atomProperties(r *markup.Reader) error {
	return inside(r, func() error {
		name := r.Local
		text, err := r.Content()
		n.properties[name] = text
		return err
	})
}

// relation is the last part of a link's relation: via of …/dataservices/related/via.
func relation(rel string) string { return rel[strings.LastIndexByte(rel, '/')+1:] }

func (n *notificationEntry) atomLink(r *markup.Reader, depth int) error {
	rel, _ := r.Attribute("rel")
	href, _ := r.Attribute("href")
	n.links[relation(rel)] = href
	via := relation(rel) == "via"
	return inside(r, func() error {
		if r.Local != "inline" || !via {
			return r.Skip()
		}
		return n.atomInside(r, depth)
	})
}

func (n *notificationEntry) atomInside(r *markup.Reader, depth int) error {
	if depth == maxNested {
		return errors.New("expected entries nested at most " + strconv.Itoa(maxNested) + " deep, found more")
	}
	return inside(r, func() error {
		switch r.Local {
		case "feed":
			return n.atomInside(r, depth+1)
		case "entry":
			in, err := atomEntry(r, depth+1)
			n.inside = append(n.inside, in)
			return err
		}
		return r.Skip()
	})
}

func jsonEntries(body []byte) (entries []notificationEntry, next string, err error) {
	v, err := jsontext.Parse(body)
	if err != nil {
		return nil, "", err
	}
	if v.Has("d") {
		v = v.At("d")
	}
	next = v.At("__next").Text
	items := []jsontext.Value{v}
	switch {
	case v.Kind == jsontext.Array:
		items = v.Items
	case v.At("results").Kind == jsontext.Array:
		items = v.At("results").Items
	}
	if len(items) > maxEntries {
		return nil, "", errTooMany
	}
	for _, item := range items {
		if item.Kind != jsontext.Object {
			return nil, "", errors.New("expected entries to be objects")
		}
		entries = append(entries, jsonEntry(item, 0))
	}
	return entries, next, nil
}

func jsonEntry(v jsontext.Value, depth int) notificationEntry {
	n := notificationEntry{id: v.At("__metadata", "uri").Text, term: v.At("__metadata", "type").Text,
		links: map[string]string{}, properties: map[string]string{}}
	for _, m := range v.Members {
		switch m.Value.Kind {
		case jsontext.String, jsontext.Number:
			n.properties[m.Name] = m.Value.Text
		case jsontext.True:
			n.properties[m.Name] = "true"
		case jsontext.False:
			n.properties[m.Name] = "false"
		case jsontext.Object:
			if m.Name != "via" || depth == maxNested {
				continue
			}
			if href := m.Value.At("__deferred", "uri").Text; href != "" {
				n.links["via"] = href
				continue
			}
			n.inside = append(n.inside, jsonEntry(m.Value, depth+1))
		}
	}
	return n
}

// notification reports whether it names an entity, rather than being one.
func (n *notificationEntry) notification() bool {
	if i := strings.LastIndexByte(n.term, '.'); n.term[i+1:] == "Notification" {
		return true
	}
	return n.links["via"] != "" || len(n.inside) > 0 || n.text("changeType") != "" && n.text("collection") != ""
}

// Header names of a notification, see the note at the top.
const (
	pokeData    = "x-sap-poke-data"
	pokeEntries = "x-sap-poke-entriesofinterest"
	pokeTitle   = "x-sap-poke-title"
)

// Notified reads a notification: in delta mode it says that there are changes, in full mode which entities to read.
func Notified(o *feed.Context, n wit.Notification) ([]wit.Wake, error) {
	path, _, _ := strings.Cut(n.Target, "?")
	name := uri.Unescape(path[strings.LastIndexByte(path, '/')+1:])
	for i := range o.Feeds {
		if f := &o.Feeds[i]; f.Name == name && f.Subscribing.On {
			return Set{f}.notified(uint32(i), &n)
		}
	}
	return nil, &wit.Fault{Kind: wit.FaultNotFound, Message: "nobody has subscribed under the path " + feed.Clip(path)}
}

func (f Set) notified(number uint32, n *wit.Notification) ([]wit.Wake, error) {
	notes, err := f.notes(n)
	if err != nil {
		return nil, &wit.Fault{Kind: wit.FaultData, Message: f.What() + ": a notification that can't be read: " +
			err.Error()}
	}
	var wakes []wit.Wake
	for i := range notes {
		one := &notes[i]
		wake := wit.Wake{Feed: number, Hold: f.Named()}
		if one.notification() {
			wake.Ident = one.text("ID")
			if collection := one.text("collection"); collection != "" && collection != f.Set {
				return nil, &wit.Fault{Kind: wit.FaultNotFound, Message: f.What() + ": a notification of " +
					strconv.Quote(feed.Clip(collection)) +
					" came, which is another entity set"}
			}
		}
		if !f.Named() {
			wakes = append(wakes, wake)
			continue
		}
		tokens, err := f.tokens(one)
		if err != nil {
			return nil, err
		}
		for _, wake.Token = range tokens {
			if wake.Token != "" && strings.EqualFold(one.text("changeType"), "deleted") {
				wake.Token += deletedToken
			}
			wakes = append(wakes, wake)
		}
	}
	if len(wakes) > 1 && f.Named() { // or the second entity of a notification would pass for the first one's repetition
		for i := range wakes {
			if w := &wakes[i]; w.Ident != "" {
				w.Ident += " " + w.Token
			}
		}
	}
	return wakes, nil
}

// notes are the entries of a notification.
func (f Set) notes(n *wit.Notification) ([]notificationEntry, error) {
	data := feed.HeaderValue(n.Headers, pokeData)
	if len(bytes.TrimSpace(n.Body)) > 0 {
		notes, next, err := readEntries(n.Body)
		if err == nil && len(notes) == 0 {
			err = errors.New("expected an entry, found none")
		}
		if next != "" { // there are others, which it doesn't name
			notes = append(notes, notificationEntry{term: "Notification"})
		}
		return notes, err
	}
	if data == "" && feed.HeaderValue(n.Headers, pokeTitle) == "" && feed.HeaderValue(n.Headers, pokeEntries) == "" {
		return nil, errors.New("expected a body or a header " + pokeData + ", found neither")
	}
	one := notificationEntry{term: "Notification", properties: map[string]string{}, links: map[string]string{}}
	if data != "" {
		one.links["via"] = data
		if strings.HasPrefix(data, "(") {
			one.links["via"] = f.Address + data
		}
	}
	return []notificationEntry{one}, nil
}

// tokens are the key predicates of the entities that a note names. One that names none has the whole set read again:
// something has changed.
func (f Set) tokens(n *notificationEntry) (tokens []string, err error) {
	entities := []notificationEntry{*n}
	if n.notification() {
		entities = n.inside
		if via := n.links["via"]; len(entities) == 0 && via != "" {
			entities = []notificationEntry{{id: via}}
		}
	}
	for i := range entities {
		raws, err := f.keysOf(&entities[i])
		if err == nil {
			var token string
			if token, err = f.Keys.Predicate(raws); err == nil {
				tokens = append(tokens, token)
				continue
			}
		}
		return nil, &wit.Fault{Kind: wit.FaultData,
			Message: f.What() + ": a notification of an entity whose key can't be read: " + err.Error()}
	}
	if len(tokens) == 0 {
		sdk.Log(wit.LevelWarn, f.What()+": a notification names no entity: the set is read again")
		tokens = []string{""}
	}
	return tokens, nil
}

// keysOf are the encoded keys of an entity: by its address, else by its properties.
func (f Set) keysOf(n *notificationEntry) ([][]byte, error) {
	address := n.address()
	set, _, err := uri.ParsePredicate(address)
	if err == nil && set != f.Set && set != f.Address && !strings.HasSuffix(f.Address, "."+set) {
		return nil, errors.New("expected an entity of " + f.Set + ", found one of " + strconv.Quote(feed.Clip(set)))
	}
	if err == nil {
		return f.Keys.Read(address)
	}
	keys := []uri.Key{}
	for _, name := range f.Structure().Key {
		text, ok := n.properties[name]
		if !ok {
			return nil, errors.New("expected the property " + name + " or an address with a key, found neither")
		}
		p := f.Structure().Property(name)
		keys = append(keys, uri.Key{Name: name, Literal: uri.Literal{Type: p.Type.Primitive, Text: text}})
	}
	return f.Keys.Read(string(uri.AppendPredicate([]byte(f.Address), keys)))
}
