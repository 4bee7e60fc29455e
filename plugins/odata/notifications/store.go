package notifications

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// SAP Gateway stores notifications of subscriptions with persistNotifications, delivered or not. At a start, a set that
// is read on notification only reads the entities that they name.
const (
	StoreTarget     = "/sap/opu/odata/IWFND/NOTIFICATIONSTORE/NotificationCollection"
	StoreTag        = "notification store"
	storeDuringLoad = ", amid a load" // suffix of StoreTag if a load was not finished
	// If the store exceeds these limits, the whole set is read again.
	maxStorePages    = 8
	maxStoreEntities = 10_000
)

// storeState is the progress of reading the store.
type storeState struct {
	loading bool            // a load is not finished, and continues afterwards
	pages   int             // pages of the store that were read
	tokens  []string        // key predicates of the entities that the store names
	seen    map[string]bool // the same, as a set
	// foreign counts entities of a set with the same name under another path, such as example. foreignSimilar means
	// that the service has the same name too.
	foreign        int
	example        string
	foreignSimilar bool
	remaining      int    // entities to read. Zero means that the store itself is being read.
	read           int    // entities that were read
	token          string // key predicate of the entity that is being read
}

// FetchStore requests the stored notifications.
func (se Set) FetchStore(loading bool, offset []wit.OffsetEntry) wit.NextAction {
	r := ListRequest(se.Query.AppendTo(StoreTarget))
	r.Tag = StoreTag
	if loading {
		r.Tag += storeDuringLoad
	}
	r.Tag = se.TagWithGuidCase(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

// Store reads the store, then the entities that it names.
type Store struct {
	*Entity
	storeState
}

// BeginStore starts reading the store.
func BeginStore(pool *feedreader.Pool, context *feedreader.Context, f *feedreader.Feed, response *wit.Response) *Store {
	tag, guids, _ := strings.Cut(response.Tag, feedreader.GuidTag)
	entity := beginEntity(pool, context, f, response, guids, "")
	entity.fromStore = true
	if response.Target == "" {
		entity.BaseURL = StoreTarget
	}
	return &Store{entity, storeState{loading: strings.HasSuffix(tag, storeDuringLoad), seen: map[string]bool{}}}
}

// Decode decodes a chunk.
func (s *Store) Decode(tag string, status uint16, chunk []byte,
	last bool) (result wit.DecodeResult, ended bool, err error) {
	state := &s.storeState
	if state.remaining == 0 {
		return s.readStore(status, chunk, last)
	}
	if token, ok := strings.CutPrefix(tag, EntityTag); ok {
		tag = ""
		if token != state.token { // the next entity
			state.token = strings.Clone(token)
			s.predicate = state.token
			s.entities = 0
			s.Ended = false
			s.beginLinked(s.Feed.Service + "/" + s.Feed.Address + state.token)
			s.Response.Status = status
			if s.Decoder != nil {
				s.Decoder.Reset()
			}
		}
	}
	result, ended, err = s.Entity.Decode(tag, status, chunk, last)
	for i := range result.Rows {
		result.Rows[i].RowIndex = uint32(state.read)
	}
	for i := range result.Errors {
		result.Errors[i].RowIndex = uint32(state.read)
	}
	if err != nil || !ended {
		return result, ended, err
	}
	state.token = ""
	state.read++
	state.remaining--
	result.More = state.remaining == 0 && state.loading
	return result, state.remaining == 0, nil
}

// beginLinked starts reading a linked response, whose headers the host does not pass on.
func (s *Store) beginLinked(target string) {
	s.Body = s.Body[:0]
	s.BaseURL = target
	s.Response = wit.Response{ReceivedAt: s.Response.ReceivedAt, Target: target}
}

// readStore collects a page of the store. After the last page it requests the entities.
func (s *Store) readStore(status uint16, chunk []byte, last bool) (result wit.DecodeResult, ended bool, err error) {
	state := &s.storeState
	set := s.set()
	if len(s.Body)+len(chunk) > maxStoreBody {
		return s.reloadSet("its page has more than " + strconv.Itoa(maxStoreBody) + " bytes")
	}
	s.Body = append(s.Body, chunk...)
	if !last {
		return result, false, nil
	}
	subject := set.Label() + ": SAP's notification store"
	s.Response.Status = status
	if status < 200 || status > 299 {
		failed := odataerror.FromResponse(subject, &s.Response, s.Body)
		failed.Message += "; " + sourceconfig.NotificationCatchup +
			" = reload reads the set again at a start, none relies on notifications that the service sends again"
		s.MarkOutage(failed)
		return result, true, failed
	}
	// Collect the entities that the page names, and request the next page.
	entries, next, err := readEntries(s.Body)
	if err != nil {
		failed := odataerror.NotData(subject, "a feed of notifications", s.Body)
		failed.Message += ": " + err.Error()
		return result, true, failed
	}
	state.pages++
	switch err := s.addEntries(entries); {
	case err != nil:
		return s.reloadSet("the key of a stored notification cannot be read: " + err.Error())
	case len(state.tokens) > maxStoreEntities:
		return s.reloadSet("it names more than " + strconv.Itoa(maxStoreEntities) + " entities")
	case next != "" && state.pages == maxStorePages:
		return s.reloadSet("it has more than " + strconv.Itoa(maxStorePages) + " pages")
	case next != "":
		target, err := s.Resolve(decode.Link{Href: next})
		if err != nil {
			return result, true, err
		}
		r := ListRequest(set.Query.AppendTo(target))
		r.Tag = StoreTag
		s.beginLinked(target)
		result.Linked = append(result.Linked, wit.LinkedRequest{Request: r, Tolerate: odataerror.RouterStatuses})
		return result, false, nil
	}
	// After the last page, request the entities.
	elsewhere := strconv.Itoa(state.foreign) + " entities of a set " + set.Set + " that are not below " +
		set.Service + ", such as " + strconv.Quote(feedreader.Clip(state.example))
	if state.foreignSimilar && len(state.tokens) == 0 {
		return s.reloadSet("it names " + elsewhere + ", which may be the same by another path, and none that is")
	} else if state.foreign > 0 {
		sdk.Log(wit.LevelWarn, subject+" names "+elsewhere+": they are considered another service's")
	}
	sdk.Log(wit.LevelInfo, subject+" names "+strconv.Itoa(len(
		state.tokens))+" entities, which are read as they are now")
	for _, token := range state.tokens {
		result.Linked = append(result.Linked, wit.LinkedRequest{Request: set.entityRequest(token),
			Tolerate: set.EntityStatuses()})
	}
	state.remaining = len(state.tokens)
	result.More = state.remaining == 0 && state.loading
	return result, state.remaining == 0, nil
}

// addEntries collects the entities that stored notifications name.
func (s *Store) addEntries(entries []notificationEntry) error {
	state := &s.storeState
	set := s.set()
	for i := range entries {
		token, mine, err := set.storedToken(&entries[i])
		switch {
		case err != nil:
			return err
		case mine && !state.seen[token]:
			state.seen[token] = true
			state.tokens = append(state.tokens, token)
		case !mine && token != "":
			state.foreign++
			if state.example == "" || !state.foreignSimilar { // a similar one is the best example
				state.example = token
			}
			state.foreignSimilar = state.foreignSimilar || set.hasSameNames(token)
		}
	}
	return nil
}

const maxStoreBody = 32 << 20 // bytes of a page

// reloadSet gives up the store, and reads the whole set.
func (s *Store) reloadSet(reason string) (wit.DecodeResult, bool, error) {
	sdk.Log(wit.LevelWarn, s.set().Label()+": SAP's notification store is not used: "+reason+
		"; the set is read again, and rows deleted in the meantime are not reported")
	first := s.set().Paging.First(s.Response.ReceivedAt)
	first.SetAnswered()
	fields := first.Fields()
	return wit.DecodeResult{Next: &fields, More: true}, true, nil
}

// storedToken returns the key predicate of a stored notification. For notifications of other services mine is false,
// and token is the address if the set has the same name.
func (se Set) storedToken(n *notificationEntry) (token string, mine bool, err error) {
	if collection := n.text("collection"); collection != "" && collection != se.Set {
		return "", false, nil
	}
	via := n.via
	if via == "" && len(n.inline) > 0 {
		via = n.inline[0].address
	}
	// URLs are compared by path: the store's URLs may have another host or a version (;v=2).
	if via != "" && !slices.EqualFunc(pathSegments(via), pathSegments(se.Service+"/"+se.Set), strings.EqualFold) {
		if path := pathSegments(via); strings.EqualFold(path[len(path)-1], se.Set) {
			return via, false, nil
		}
		return "", false, nil
	}
	keyParts, err := se.keysOf(&notificationEntry{address: via})
	if err != nil {
		return "", true, err
	}
	token, err = se.Keys.Predicate(keyParts)
	return token, true, err
}

// hasSameNames reports whether a URL has the names of the feed's service and set: it may be the same by another path.
func (se Set) hasSameNames(address string) bool {
	path := pathSegments(address)
	feedPath := pathSegments(se.Service + "/" + se.Set)
	n := min(2, len(feedPath), len(path))
	return slices.EqualFunc(path[len(path)-n:], feedPath[len(feedPath)-n:], strings.EqualFold)
}

// pathSegments returns the segments of a URL's path, without keys and parameters such as ;v=2.
func pathSegments(address string) []string {
	path, _, _ := strings.Cut(address, "(")
	if _, afterScheme, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(afterScheme, '/'); i >= 0 {
			path = afterScheme[i:]
		}
	}
	list := strings.Split(strings.Trim(path, "/"), "/")
	for i := range list {
		list[i], _, _ = strings.Cut(uri.Unescape(list[i]), ";")
	}
	return list
}
