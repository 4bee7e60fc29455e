package notify

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/feed"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// NamedTag begins the tags of requests for an entity that a notification names; its key predicate follows.
const NamedTag = "entity "

// deletedToken follows the key predicate in the token of a wake whose notification says that the entity was
// deleted.
const deletedToken = " deleted"

// FetchNamed asks for an entity that a notification names: what it is now, whatever was said to have happened, since
// notifications come late, twice and in any order.
func (f Set) FetchNamed(token string, offset []wit.OffsetEntry) wit.NextAction {
	r := f.namedRequest(token)
	r.Tag = f.WithGuids(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

func (f Set) namedRequest(token string) wit.Request {
	return f.Request(NamedTag+token, f.EntityTarget(strings.TrimSuffix(token, deletedToken)))
}

// Set is an entity set to which notifications belong.
type Set struct{ *feed.Feed }

// Entity reads an entity that a notification names, or the document of one row.
type Entity struct {
	*feed.Reader
	// named is its key predicate, "" for a document, which nobody asked for; entities came of it.
	named    string
	entities int
	// saysDeleted: the notification says that the entity was deleted.
	saysDeleted bool
	// stored: the notification store named it.
	stored bool
}

// Reading is what it reads by.
func (pg *Entity) Reading() *feed.Reader { return pg.Reader }

func (pg *Entity) set() Set { return Set{pg.Feed} }

// BeginEntity opens the answer.
func BeginEntity(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response) *Entity {
	token, guids, _ := strings.Cut(strings.TrimPrefix(response.Tag, NamedTag), feed.GuidTag)
	token, deleted := strings.CutSuffix(token, deletedToken)
	pg := beginEntity(pool, o, f, response, guids, strings.Clone(token))
	pg.saysDeleted = deleted
	return pg
}

// BeginLone opens the document of one row, which was refused before: a dead letter that is read again.
func BeginLone(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response) *Entity {
	return beginEntity(pool, o, f, response, feed.HeaderValue(response.Headers, wit.OffsetHeader+feed.GuidField), "")
}

func beginEntity(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response, guids, named string) *Entity {
	pg := &Entity{Reader: pool.Begin(o, f, response, guids), named: named}
	pg.Single = true
	if pg.Base == "" {
		pg.Base = f.Service + "/" + f.Address + named
	}
	return pg
}

// Decode reads it: one row, or one for a deleted entity.
func (pg *Entity) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	f, what := pg.set(), pg.What()+": the entity "+pg.named
	if status := pg.Answer.Status; status < 200 || status > 299 {
		pg.Refusal(piece)
		switch {
		case !last:
			return portion, false, nil
		case !f.Gone(status, pg.Body):
			return portion, true, feed.NotRead(what, &pg.Answer, pg.Body)
		}
		raws, err := f.Keys.Read(pg.named)
		if err != nil {
			return portion, true, &wit.Error{Kind: wit.ErrorInternal, Message: what + ": " + err.Error()}
		}
		pg.FitKeys(raws)
		portion.Data, portion.Rows = pg.DeletedRows(nil, nil, 0, raws, pg.Answer.ReceivedAt)
		pg.Declare(&portion)
		pg.confirm(&portion, !pg.saysDeleted)
		return portion, true, nil
	}
	if waits, err := pg.Read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.Filtered(); err != nil {
		return portion, true, err
	}
	if err := pg.take(&portion); err != nil {
		return portion, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended && pg.entities != 1 {
		return portion, true, &wit.Error{Kind: wit.ErrorData, Message: what + ": expected one entity, found " +
			strconv.Itoa(pg.entities)}
	}
	if ended {
		pg.confirm(&portion, pg.saysDeleted)
	}
	return portion, ended, nil
}

// take hands on what came.
func (pg *Entity) take(portion *wit.DecodeResult) error {
	f, change := pg.set(), feed.ChangeUnknown
	if pg.entities += len(pg.Out.Rows) + len(pg.Out.Faults); pg.named != "" {
		change = feed.ChangeChanged
	}
	pg.Out.Data = f.TellAll(pg.Out.Rows, pg.Out.Data, change)
	portion.Rows, portion.Data, portion.Errors = pg.Out.Rows, pg.Out.Data, pg.Out.Faults
	pg.Declare(portion)
	return pg.Followed(portion)
}

// What a service answers about an entity may come of an older copy of its data than what made the notification: an
// entity that was created just now is not there, one that was deleted still is. Nothing names them again, so that
// the delete of a row that lives, or the row of a deleted entity, would stay in Kafka for good. So an entity whose
// answer contradicts the notification is written as it came, and read once more after a while. It is not waited for
// before: who sends notifications one after another would stand still with each entity that was deleted since. An
// entity that was changed and comes as it was before cannot be distinguished from one that is up to date.

// confirm has an entity read once more whose answer contradicts the notification. The host does so once for each
// notification: this may be the second answer, which an instance of the plugin cannot know.
func (pg *Entity) confirm(portion *wit.DecodeResult, contradicts bool) {
	after := uint32(pg.set().Subscribing.Confirm) * 1000
	if !contradicts || pg.named == "" || pg.stored || after == 0 {
		return
	}
	says := "is not there, and no notification says that it was deleted"
	if pg.saysDeleted {
		says = "is there, and a notification says that it was deleted"
	}
	sdk.Log(wit.LevelInfo, pg.What()+": the entity "+pg.named+" "+says+": unless this is the second answer, it is "+
		"read once more in "+strconv.Itoa(pg.set().Subscribing.Confirm)+" s")
	portion.More, portion.WaitMs = true, after
}
