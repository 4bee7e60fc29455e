package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// namedTag begins the tags of requests for an entity that a notification names; its key predicate follows.
const namedTag = "entity "

// deletedToken stands behind the key predicate in the token of a wake whose notification says that the entity was
// deleted.
const deletedToken = " deleted"

// fetchNamed asks for an entity that a notification names: what it is now, whatever was said to have happened, since
// notifications come late, twice and in any order.
func (f *feed) fetchNamed(token string, offset []wit.Field) wit.Step {
	r := f.namedRequest(token)
	r.Tag = f.withCases(r.Tag, offset)
	return wit.Step{Fetch: &wit.Fetch{Request: r}}
}

func (f *feed) namedRequest(token string) wit.Request {
	return f.request(namedTag+token, f.entityTarget(strings.TrimSuffix(token, deletedToken)))
}

// entityTarget is where the entity with a key predicate is read, in the form of the feed's rows.
func (f *feed) entityTarget(predicate string) string {
	options := f.pages.Options
	if f.pages.FormatOption != "" {
		options = append([]string{f.pages.FormatOption}, options...)
	}
	target := f.service + "/" + f.address + predicate
	if len(options) > 0 {
		target += "?" + strings.Join(options, "&")
	}
	return f.query.On(target)
}

// beginNamed opens the answer.
func (p *plugin) beginNamed(o *decodedContext, f *feed, response *wit.Response) (uint32, error) {
	token, ok := strings.CutPrefix(response.Tag, namedTag)
	if !ok || !f.named() {
		return 0, &wit.Fault{Kind: wit.FaultInternal, Message: "a page without its position"}
	}
	pg, n := p.pages.begin(o, f, response)
	token, cases, _ := strings.Cut(token, guidTag)
	pg.beginGuids([]byte(cases))
	token, pg.toldDeleted = strings.CutSuffix(token, deletedToken)
	pg.named = strings.Clone(token)
	if pg.Base == "" {
		pg.Base = f.service + "/" + f.address + pg.named
	}
	return n, nil
}

// beginLone opens the document of one row, which was refused before: a dead letter that is read again.
func (p *plugin) beginLone(o *decodedContext, f *feed, response *wit.Response) uint32 {
	pg, n := p.pages.begin(o, f, response)
	pg.lone = true
	pg.beginGuids([]byte(header(response.Headers, wit.OffsetHeader+guidField)))
	if pg.Base == "" {
		pg.Base = f.service + "/" + f.address
	}
	pg.delta = deltaPosition{phase: phaseLoad}
	pg.changes.reset()
	return n
}

// decodeNamed reads it: one row, or one for a deleted entity.
func (pg *page) decodeNamed(tag string, _ uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	f, status := pg.feed, pg.Answer.Status
	what := pg.What() + ": the entity " + pg.named
	if status < 200 || status > 299 {
		pg.Body = append(pg.Body, piece[:min(len(piece), maxErrorBody-len(pg.Body))]...)
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
	if pg.decoder == nil && !pg.choose(piece, last) {
		return portion, false, nil
	}
	pg.ended = pg.ended || tag == "" && last
	if waits, err := pg.take(pg.decoder, &pg.Out, part{"", tag, piece, last}, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.filtered(); err != nil {
		return portion, true, err
	}
	pg.entities += len(pg.Out.Rows) + len(pg.Out.Faults)
	for _, row := range pg.Out.Rows {
		if pg.lone {
			break // nobody asked for it
		}
		asked, err := f.rawKeys(pg.named)
		if err != nil {
			return portion, true, &wit.Fault{Kind: wit.FaultInternal, Message: what + ": " + err.Error()}
		}
		if found := f.another(asked, pg.Out.Data[row.Key.Start:row.Key.Start+row.Key.Size]); found != "" {
			return portion, true, &wit.Fault{Kind: wit.FaultData, Message: what + ": expected it, found " + found}
		}
	}
	if pg.lone && f.tracking.on { // it may say that its entity is deleted
		if err := pg.change(&portion); err != nil {
			return wit.Portion{}, true, err
		}
	} else {
		what := changeChanged
		if pg.lone {
			what = changeUnknown
		}
		pg.Out.Data = pg.fitRows(pg.Out.Rows, pg.Out.Data)
		pg.Out.Data = f.tellAll(pg.Out.Rows, pg.Out.Data, what)
		portion.Rows, portion.Data, portion.Faults = pg.Out.Rows, pg.Out.Data, pg.Out.Faults
	}
	pg.declare(&portion)
	if err := pg.followed(&portion); err != nil {
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
func (pg *page) confirm(portion *wit.Portion, contradicts bool) {
	after := uint32(pg.feed.subscribing.confirm) * 1000
	if !contradicts || pg.lone || pg.store != nil || after == 0 {
		return
	}
	says := "is not there, and no notification says that it was deleted"
	if pg.toldDeleted {
		says = "is there, and a notification says that it was deleted"
	}
	sdk.Log(wit.LevelInfo, pg.What()+": the entity "+pg.named+" "+says+": unless this is the second answer, it is "+
		"read once more in "+strconv.Itoa(pg.feed.subscribing.confirm)+" s")
	portion.More, portion.WaitMs = true, after
}
