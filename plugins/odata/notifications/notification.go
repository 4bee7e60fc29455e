package notifications

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// notificationEntry is an entry of a notification or of a feed of subscriptions. SAP Gateway's notifications are not
// documented: accepted are entries of its notification store (type Notification, link `via` to the entity), the entity
// itself, feeds of both, the same in JSON, and the headers x-sap-poke-… with or without a body.
type notificationEntry struct {
	address    string              // URL of the entry
	term       string              // qualified entity type
	via        string              // URL of the entity that a notification is about
	properties map[string]string   // values as texts, by name
	inline     []notificationEntry // the entities themselves
}

const maxNested = 8 // levels of inline entries

func (n *notificationEntry) text(name string) string { return n.properties[name] }

// readEntries returns the entries of a document, which may be a feed or a single entry, and the next link of the feed.
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

// entryOf converts an entry. depth is the number of entries around it.
func entryOf(v jsontext.Value, depth int) notificationEntry {
	n := notificationEntry{address: v.Get("__metadata", "uri").Text, term: v.Get("__metadata", "type").Text,
		properties: map[string]string{}}
	for _, name := range []string{"title", "updated", "user"} { // a property of that name takes precedence
		if property := v.Get("__metadata", name).Text; property != "" {
			n.properties[name] = property
		}
	}
	for _, member := range v.Members {
		switch member.Value.Kind {
		case jsontext.String, jsontext.Number:
			n.properties[member.Name] = member.Value.Text
		case jsontext.True:
			n.properties[member.Name] = "true"
		case jsontext.False:
			n.properties[member.Name] = "false"
		case jsontext.Object:
			if member.Name != "via" || depth == maxNested {
				continue
			}
			n.via = member.Value.Get("__deferred", "uri").Text
			if len(member.Value.Members) == 1 && member.Value.Has("__deferred") {
				continue // a link only
			}
			items, ok := document.Items(member.Value)
			if !ok {
				items = []jsontext.Value{member.Value}
			}
			for _, item := range items {
				n.inline = append(n.inline, entryOf(item, depth+1))
			}
		}
	}
	return n
}

// isNotification reports whether the entry is a notification, not an entity.
func (n *notificationEntry) isNotification() bool {
	if i := strings.LastIndexByte(n.term, '.'); n.term[i+1:] == "Notification" { // without namespace
		return true
	}
	return n.via != "" || len(n.inline) > 0 || (n.text("changeType") != "" && n.text("collection") != "")
}

const (
	pokeData    = "x-sap-poke-data"
	pokeEntries = "x-sap-poke-entriesofinterest"
	pokeTitle   = "x-sap-poke-title"
)

// HandleNotification reads a notification: in delta mode it triggers a poll, in full mode it names entities.
func HandleNotification(context *feedreader.Context, n wit.Notification) ([]wit.Trigger, error) {
	path, _, _ := strings.Cut(n.Target, "?")
	name := uri.Unescape(path[strings.LastIndexByte(path, '/')+1:])
	for i := range context.Feeds {
		if f := &context.Feeds[i]; f.Name == name && f.Subscribing.On {
			return Set{f}.triggers(uint32(i), &n)
		}
	}
	return nil, &wit.Error{Kind: wit.ErrorNotFound, Message: "there is no subscription with the path " +
		feedreader.Clip(path)}
}

// triggers returns one trigger for each entry in delta mode, one for each entity in full mode.
func (se Set) triggers(number uint32, n *wit.Notification) ([]wit.Trigger, error) {
	entries, err := se.entries(n)
	if err != nil {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: se.Label() + ": a notification cannot be read: " +
			err.Error()}
	}
	var triggers []wit.Trigger
	for i := range entries {
		entry := &entries[i]
		trigger := wit.Trigger{Feed: number, AnswerWhenStored: se.NotificationOnly()}
		if entry.isNotification() {
			trigger.Ident = entry.text("ID")
			if collection := entry.text("collection"); collection != "" && collection != se.Set {
				return nil, &wit.Error{Kind: wit.ErrorNotFound, Message: se.Label() + ": received a notification of " +
					strconv.Quote(feedreader.Clip(collection)) + ", which is another entity set"}
			}
		}
		if !se.NotificationOnly() {
			triggers = append(triggers, trigger)
			continue
		}
		tokens, err := se.tokens(entry)
		if err != nil {
			return nil, err
		}
		for _, token := range tokens {
			trigger.Token = token
			if token != "" && strings.EqualFold(entry.text("changeType"), "deleted") {
				trigger.Token += deletedSuffix
			}
			triggers = append(triggers, trigger)
		}
	}
	// The second entity would be considered a repetition of the first one.
	if len(triggers) > 1 && se.NotificationOnly() {
		for i := range triggers {
			if trigger := &triggers[i]; trigger.Ident != "" {
				trigger.Ident += " " + trigger.Token
			}
		}
	}
	return triggers, nil
}

// entries returns the entries in the body of a notification or, without a body, an entry from its headers.
func (se Set) entries(n *wit.Notification) ([]notificationEntry, error) {
	data := feedreader.HeaderValue(n.Headers, pokeData)
	if len(bytes.TrimSpace(n.Body)) > 0 {
		entries, next, err := readEntries(n.Body)
		if err == nil && len(entries) == 0 {
			err = errors.New("expected an entry, found none")
		}
		if next != "" { // more entries exist: an entry that names no entity requests the whole set
			entries = append(entries, notificationEntry{term: "Notification"})
		}
		return entries, err
	}
	if data == "" && feedreader.HeaderValue(n.Headers, pokeTitle) == "" &&
		feedreader.HeaderValue(n.Headers, pokeEntries) == "" {
		return nil, errors.New("expected a body or a header " + pokeData + ", found neither")
	}
	entry := notificationEntry{term: "Notification", properties: map[string]string{}}
	if data != "" {
		entry.via = data
		if strings.HasPrefix(data, "(") {
			entry.via = se.Address + data
		}
	}
	return []notificationEntry{entry}, nil
}

// tokens returns the key predicates of the entities. If the notification names no entity, the only token is "", which
// reads the whole set again.
func (se Set) tokens(n *notificationEntry) (tokens []string, err error) {
	entities := []notificationEntry{*n}
	if n.isNotification() {
		entities = n.inline
		if via := n.via; len(entities) == 0 && via != "" {
			entities = []notificationEntry{{address: via}}
		}
	}
	for i := range entities {
		keyParts, err := se.keysOf(&entities[i])
		if err == nil {
			var token string
			if token, err = se.Keys.Predicate(keyParts); err == nil {
				tokens = append(tokens, token)
				continue
			}
		}
		return nil, &wit.Error{Kind: wit.ErrorData,
			Message: se.Label() + ": the key of a notified entity cannot be read: " + err.Error()}
	}
	if len(tokens) == 0 {
		sdk.Log(wit.LevelWarn, se.Label()+": a notification names no entity: the set is read again")
		tokens = []string{""}
	}
	return tokens, nil
}

// keysOf returns the parts of an entity's key, from its address or else from its properties.
func (se Set) keysOf(n *notificationEntry) ([][]byte, error) {
	set, _, err := uri.ParsePredicate(se.Dialect, n.address)
	if err == nil && set != se.Set && set != se.Address && !strings.HasSuffix(se.Address, "."+set) {
		return nil, errors.New("expected an entity of " + se.Set + ", found one of " +
			strconv.Quote(feedreader.Clip(set)))
	}
	if err == nil {
		return se.Keys.ParseAddress(n.address)
	}
	keys := []uri.Key{}
	for _, name := range se.EntityType().Key {
		property, ok := n.properties[name]
		if !ok {
			return nil, errors.New("expected the property " + name + " or an address with a key, found neither")
		}
		p := se.EntityType().Property(name)
		keys = append(keys, uri.Key{Name: name, Literal: value.LiteralOf(p, property)})
	}
	return se.Keys.ParseAddress(string(uri.AppendPredicate([]byte(se.Address), se.Dialect, keys)))
}
