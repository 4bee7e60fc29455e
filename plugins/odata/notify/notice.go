package notify

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// What SAP Gateway sends to a listener is written down nowhere. Taken is what is known of its notification store (an
// entry of type Notification, whose link `via` leads to the entity), the entity by itself, feeds of both, their twins
// in JSON, and the headers x-sap-poke-… with or without a body.

// notificationEntry is an entry of a notification, or of a feed of subscriptions.
type notificationEntry struct {
	// address is where the entry itself is, term its type, via the address in its link of that name.
	address, term, via string
	properties         map[string]string
	// inside are the entries in that link.
	inside []notificationEntry
}

// maxNested bounds how deep entries stand in links of entries.
const maxNested = 8

func (n *notificationEntry) text(name string) string { return n.properties[name] }

// readEntries reads the entries of a feed, or a single one, in Atom or JSON, and a feed's link to the next page.
func readEntries(body []byte) (entries []notificationEntry, next string, err error) {
	v, err := document.Parse(body)
	if err != nil {
		return nil, "", err
	}
	items, ok := document.Items(v)
	if !ok {
		items = []jsontext.Value{v}
	}
	if len(items) > document.MaxEntries { // each may become a request
		return nil, "", document.ErrTooMany
	}
	for _, item := range items {
		if item.Kind != jsontext.Object {
			return nil, "", errors.New("expected entries to be objects")
		}
		entries = append(entries, entryOf(item, 0))
	}
	return entries, v.Get("__next").Text, nil
}

func entryOf(v jsontext.Value, depth int) notificationEntry {
	n := notificationEntry{address: v.Get("__metadata", "uri").Text, term: v.Get("__metadata", "type").Text,
		properties: map[string]string{}}
	for _, name := range []string{"title", "updated", "user"} { // which a property of that name replaces
		if text := v.Get("__metadata", name).Text; text != "" {
			n.properties[name] = text
		}
	}
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
			n.via = m.Value.Get("__deferred", "uri").Text
			if len(m.Value.Members) == 1 && m.Value.Has("__deferred") {
				continue
			}
			items, ok := document.Items(m.Value)
			if !ok {
				items = []jsontext.Value{m.Value}
			}
			for _, item := range items {
				n.inside = append(n.inside, entryOf(item, depth+1))
			}
		}
	}
	return n
}

// notification reports whether it names an entity, rather than being one.
func (n *notificationEntry) notification() bool {
	if i := strings.LastIndexByte(n.term, '.'); n.term[i+1:] == "Notification" {
		return true
	}
	return n.via != "" || len(n.inside) > 0 || n.text("changeType") != "" && n.text("collection") != ""
}

// Header names of a notification, see the note at the top.
const (
	pokeData    = "x-sap-poke-data"
	pokeEntries = "x-sap-poke-entriesofinterest"
	pokeTitle   = "x-sap-poke-title"
)

// Notified reads a notification: in delta mode it says that there are changes, in full mode which entities to read.
func Notified(o *feed.Context, n wit.Notification) ([]wit.Trigger, error) {
	path, _, _ := strings.Cut(n.Target, "?")
	name := uri.Unescape(path[strings.LastIndexByte(path, '/')+1:])
	for i := range o.Feeds {
		if f := &o.Feeds[i]; f.Name == name && f.Subscribing.On {
			return Set{f}.notified(uint32(i), &n)
		}
	}
	return nil, &wit.Error{Kind: wit.ErrorNotFound, Message: "nobody has subscribed under the path " + feed.Clip(path)}
}

func (f Set) notified(number uint32, n *wit.Notification) ([]wit.Trigger, error) {
	notes, err := f.notes(n)
	if err != nil {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: f.What() + ": a notification that can't be read: " +
			err.Error()}
	}
	var wakes []wit.Trigger
	for i := range notes {
		one := &notes[i]
		wake := wit.Trigger{Feed: number, AnswerWhenStored: f.Named()}
		if one.notification() {
			wake.Ident = one.text("ID")
			if collection := one.text("collection"); collection != "" && collection != f.Set {
				return nil, &wit.Error{Kind: wit.ErrorNotFound, Message: f.What() + ": a notification of " +
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
	one := notificationEntry{term: "Notification", properties: map[string]string{}}
	if data != "" {
		one.via = data
		if strings.HasPrefix(data, "(") {
			one.via = f.Address + data
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
		if via := n.via; len(entities) == 0 && via != "" {
			entities = []notificationEntry{{address: via}}
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
		return nil, &wit.Error{Kind: wit.ErrorData,
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
	set, _, err := uri.ParsePredicate(n.address)
	if err == nil && set != f.Set && set != f.Address && !strings.HasSuffix(f.Address, "."+set) {
		return nil, errors.New("expected an entity of " + f.Set + ", found one of " + strconv.Quote(feed.Clip(set)))
	}
	if err == nil {
		return f.Keys.Read(n.address)
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
