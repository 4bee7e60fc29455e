package main

import (
	"strconv"
	"strings"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// namedTag begins the tags of requests for an entity that a notification names; its key predicate follows.
const namedTag = "entity "

// deletedToken stands behind the key predicate in the token of a wake whose notification says that the entity was
// deleted.
const deletedToken = " deleted"

// fetchNamed asks for an entity that a notification names: what it is now, whatever was said to have happened, since
// notifications come late, twice and in any order.
func (f notifySet) fetchNamed(token string, offset []wit.Field) wit.Step {
	r := f.namedRequest(token)
	r.Tag = f.withCases(r.Tag, offset)
	return wit.Step{Fetch: &wit.Fetch{Request: r}}
}

func (f notifySet) namedRequest(token string) wit.Request {
	return f.request(namedTag+token, f.entityTarget(strings.TrimSuffix(token, deletedToken)))
}

// notifySet is an entity set of which notifications tell.
type notifySet struct{ *Feed }

// entityPage reads an entity that a notification names, or the document of one row.
type entityPage struct {
	*Reader
	// named is its key predicate, "" for a document, which nobody asked for; entities came of it.
	named    string
	entities int
	// toldDeleted: the notification says that the entity was deleted.
	toldDeleted bool
	// stored: the notification store named it.
	stored bool
}

// Reading is what it reads by.
func (pg *entityPage) Reading() *Reader { return pg.Reader }

func (pg *entityPage) set() notifySet { return notifySet{pg.feed} }

// beginNamed opens the answer.
func beginNamed(pool *Pool, o *Context, f *Feed, response *wit.Response) *entityPage {
	token, cases, _ := strings.Cut(strings.TrimPrefix(response.Tag, namedTag), guidTag)
	pg := &entityPage{Reader: pool.begin(o, f, response, []byte(cases))}
	pg.single = true
	token, pg.toldDeleted = strings.CutSuffix(token, deletedToken)
	pg.named = strings.Clone(token)
	if pg.Base == "" {
		pg.Base = f.service + "/" + f.address + pg.named
	}
	return pg
}

// beginLone opens the document of one row, which was refused before: a dead letter that is read again.
func beginLone(pool *Pool, o *Context, f *Feed, response *wit.Response) *entityPage {
	cases := header(response.Headers, wit.OffsetHeader+guidField)
	pg := &entityPage{Reader: pool.begin(o, f, response, []byte(cases))}
	pg.single = true
	if pg.Base == "" {
		pg.Base = f.service + "/" + f.address
	}
	return pg
}

// Decode reads it: one row, or one for a deleted entity.
func (pg *entityPage) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	f, what := pg.set(), pg.What()+": the entity "+pg.named
	if status := pg.Answer.Status; status < 200 || status > 299 {
		pg.refusal(piece)
		switch {
		case !last:
			return portion, false, nil
		case !f.gone(status, pg.Body):
			return portion, true, notRead(what, &pg.Answer, pg.Body)
		}
		raws, err := f.rawKeys(pg.named)
		if err != nil {
			return portion, true, &wit.Fault{Kind: wit.FaultInternal, Message: what + ": " + err.Error()}
		}
		pg.fitKeys(raws)
		portion.Data, portion.Rows = pg.deletedRows(nil, nil, 0, raws, pg.Answer.At)
		pg.declare(&portion)
		pg.confirm(&portion, !pg.toldDeleted)
		return portion, true, nil
	}
	if waits, err := pg.read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.filtered(); err != nil {
		return portion, true, err
	}
	if err := pg.take(&portion); err != nil {
		return portion, true, err
	}
	if ended = pg.ended && pg.Out.Page.Done; ended && pg.entities != 1 {
		return portion, true, &wit.Fault{Kind: wit.FaultData, Message: what + ": expected one entity, found " +
			strconv.Itoa(pg.entities)}
	}
	if ended {
		pg.confirm(&portion, pg.toldDeleted)
	}
	return portion, ended, nil
}

// take hands on what came, if it is what was asked for.
func (pg *entityPage) take(portion *wit.Portion) error {
	f, change := pg.set(), changeUnknown
	pg.entities += len(pg.Out.Rows) + len(pg.Out.Faults)
	if pg.named != "" {
		change = changeChanged
		what := pg.What() + ": the entity " + pg.named
		asked, err := f.rawKeys(pg.named)
		if err != nil {
			return &wit.Fault{Kind: wit.FaultInternal, Message: what + ": " + err.Error()}
		}
		for i := range pg.Out.Rows {
			if found := f.another(asked, keyOf(&pg.Out.Rows[i], pg.Out.Data)); found != "" {
				return &wit.Fault{Kind: wit.FaultData, Message: what + ": expected it, found " + found}
			}
		}
	}
	pg.Out.Data = pg.fitRows(pg.Out.Rows, pg.Out.Data)
	pg.Out.Data = f.tellAll(pg.Out.Rows, pg.Out.Data, change)
	portion.Rows, portion.Data, portion.Faults = pg.Out.Rows, pg.Out.Data, pg.Out.Faults
	pg.declare(portion)
	return pg.followed(portion)
}

// What a service answers about an entity may come of an older copy of its data than what made the notification: an
// entity that was created just now is not there, one that was deleted still is. Nothing tells of them again, so that
// the delete of a row that lives, or the row of a deleted entity, would stay in Kafka for good. So an entity whose
// answer contradicts the notification is written as it came, and read once more after a while. It is not waited for
// before: who sends notifications one after another would stand still with each entity that was deleted since. An
// entity that was changed and comes as it was before cannot be told from one that is up to date.

// maxConfirm is the greatest value of sap.odata.notification.confirm.seconds: the host waits no longer than a minute.
const maxConfirm = 60

// confirm has an entity read once more whose answer contradicts the notification. The host does so once for each
// notification: this may be the second answer, which an instance of the plugin cannot know.
func (pg *entityPage) confirm(portion *wit.Portion, contradicts bool) {
	after := uint32(pg.set().subscribing.confirm) * 1000
	if !contradicts || pg.named == "" || pg.stored || after == 0 {
		return
	}
	says := "is not there, and no notification says that it was deleted"
	if pg.toldDeleted {
		says = "is there, and a notification says that it was deleted"
	}
	sdk.Log(wit.LevelInfo, pg.What()+": the entity "+pg.named+" "+says+": unless this is the second answer, it is "+
		"read once more in "+strconv.Itoa(pg.set().subscribing.confirm)+" s")
	portion.More, portion.WaitMs = true, after
}
