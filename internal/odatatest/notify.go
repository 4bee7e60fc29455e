package odatatest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Subscriptions follow SAP Gateway: the entities of an entity set SubscriptionCollection request that changes of a set
// are pushed to an address. The format of pushed notifications is not documented.
const (
	subscriptions = "SubscriptionCollection"
	notifications = "NotificationCollection"
	channelPrefix = "urn:sap-com:channel:"
)

// addSubscriptions adds the two sets of the notification model.
func (no *northwind) addSubscriptions() {
	none := func(int, *row) {}
	no.add(subscriptions, &entityType{name: "Subscription", keys: 1, properties: []property{
		required(text("ID", 32)),
		text("user", 12),
		column("updated", dateTimeKind),
		text("title", 255),
		text("deliveryAddress", -1),
		column("persistNotifications", booleanKind),
		text("collection", 40),
		text("filter", -1),
		text("select", 255),
		text("changeType", 30),
	}}, 0, none)
	no.add(notifications, &entityType{name: "Notification", keys: 1, properties: []property{
		required(text("ID", 32)),
		text("collection", 40),
		text("title", 255),
		column("updated", dateTimeKind),
		text("changeType", 30),
		column("entriesOfInterest", int32Kind),
		text("recipient", 112),
	}}, 0, none)
}

// pushMessage is a notification to send.
type pushMessage struct {
	address    string
	id         string
	collection string
	changeType string
	entity     string // URL
	at         time.Time
}

// pushQueue sends notifications one after another, like an outbound queue.
type pushQueue struct {
	mu      sync.Mutex
	queue   []pushMessage
	running bool // a goroutine sends the queue
	number  int  // of notifications so far
	// stored are the notifications of subscriptions with persistNotifications, whether they are sent or not.
	stored []pushMessage
}

// notify sends the change of an entity to its subscribers.
func (ex *exchange) notify(t *table, key []value, changeType string) {
	s := ex.service
	set := s.model.byName[subscriptions]
	if set == nil || t == set {
		return
	}
	local := t.name + string(appendKey(nil, t.typ, &row{values: key}))
	link := ex.link(local)
	ex.onCommit(func() {
		typ := set.typ
		field := func(r *row, name string) string { return string(r.values[typ.property(name)].text) }
		for c := set.all(); c.next(); {
			r := c.current
			if field(r, "collection") != t.name || field(r, "changeType") != changeType {
				continue
			}
			isPersistent := r.values[typ.property("persistNotifications")].num != 0
			s.pushQueue.add(s, isPersistent, pushMessage{address: field(r, "deliveryAddress"), collection: t.name,
				changeType: changeType, entity: link, at: time.Now().UTC()})
		}
	})
}

// add stores a persistent notification, and sends any in a goroutine unless the switch notify-off is on.
func (p *pushQueue) add(s *Service, isPersistent bool, notification pushMessage) {
	isOff := s.Switches().NotifyOff
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	notification.id = fmt.Sprintf("%032X", p.number)
	if isPersistent {
		p.stored = append(p.stored, notification)
	}
	if isOff {
		return
	}
	p.queue = append(p.queue, notification)
	if !p.running {
		p.running = true
		go p.run(s)
	}
}

// Limits of the attempts to send, and the pause between two.
const (
	pushTries = 12_000
	pushPause = 50 * time.Millisecond
)

// pushClient accepts any certificate: in SAP systems the destination decides that.
var pushClient = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 4,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// run sends until the queue is empty.
func (p *pushQueue) run(s *Service) {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		notification := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		s.deliver(&notification)
	}
}

// Pushed reports whether all changes so far were sent.
func (s *Service) Pushed() bool {
	s.pushQueue.mu.Lock()
	defer s.pushQueue.mu.Unlock()
	return !s.pushQueue.running
}

// deliver tries to send a notification until the listener accepts it. It blocks for up to ten minutes.
func (s *Service) deliver(notification *pushMessage) {
	for range pushTries {
		if sw := s.Switches(); s.send(notification, &sw) {
			s.book.update(func(l *Ledger) { l.Notified++ })
			return
		}
		time.Sleep(pushPause)
	}
	s.book.update(func(l *Ledger) { l.Undelivered++ })
}

// send makes one attempt and reports whether the listener accepted it.
func (s *Service) send(notification *pushMessage, sw *Switches) bool {
	address := notification.address
	if channel, ok := strings.CutPrefix(address, channelPrefix); ok {
		_, path, _ := strings.Cut(channel, ":")
		address = strings.TrimRight(sw.NotifyTo, "/") + path
	}
	r, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(notification.body()))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/atom+xml")
	if user, password, ok := strings.Cut(sw.NotifyUser, ":"); ok {
		r.SetBasicAuth(user, password)
	}
	response, err := pushClient.Do(r)
	status := 0
	if err == nil {
		response.Body.Close()
		status = response.StatusCode
	}
	s.book.update(func(l *Ledger) {
		if l.NotifyStatuses == nil {
			l.NotifyStatuses = map[int]int{}
		}
		l.NotifyStatuses[status]++
	})
	return status >= 200 && status < 300
}

const feedSpaces = ` xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"`

// StorePath is where SAP Gateway stores notifications of subscriptions that request it.
const StorePath = "/sap/opu/odata/IWFND/NOTIFICATIONSTORE/"

// storePage is the number of notifications on a page of the store.
const storePage = 100

// serveStoredNotifications answers with the stored notifications, in Atom.
func (ex *exchange) serveStoredNotifications(path string) *fault {
	if path != notifications {
		return notFound(path)
	}
	skip, _ := strconv.Atoi(ex.r.URL.Query().Get("$skiptoken"))
	p := &ex.service.pushQueue
	p.mu.Lock()
	from := min(skip, len(p.stored))
	page := slices.Clone(p.stored[from:min(from+storePage, len(p.stored))])
	more := from+len(page) < len(p.stored)
	p.mu.Unlock()
	b := []byte(`<?xml version="1.0" encoding="utf-8"?><feed` + feedSpaces + `><id>` + notifications + `</id>`)
	for i := range page {
		b = append(b, page[i].body()...)
	}
	if more {
		b = fmt.Appendf(b, `<link rel="next" href="%s?$skiptoken=%d"/>`, notifications, from+len(page))
	}
	ex.sendText("application/atom+xml;charset=utf-8", append(b, "</feed>"...))
	return nil
}

// body returns the pushed document: the entry of a Notification with a link to the entity.
func (p *pushMessage) body() []byte {
	return []byte(`<entry` + feedSpaces + `><id>NotificationCollection('` + p.id + `')</id><title type="text">CUD of ` +
		p.collection + `</title><updated>` + p.at.Format(time.RFC3339) +
		`</updated><category term="NOTIFICATIONSTORE.Notification" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>` +
		`<link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/via" type="application/atom+xml;type=entry" href="` +
		string(appendXMLText(nil, []byte(p.entity))) + `"/><content type="application/xml"><m:properties><d:ID>` +
		p.id + `</d:ID><d:collection>` + p.collection + `</d:collection><d:changeType>` + p.changeType +
		`</d:changeType><d:entriesOfInterest>1</d:entriesOfInterest></m:properties></content></entry>`)
}

// SubscriptionCount returns the number of subscriptions.
func (s *Service) SubscriptionCount() int { return max(s.Count(subscriptions), 0) }
