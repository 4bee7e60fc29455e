package check

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// LogonBy says with which secrets an online check may log on that its origin has not taken yet.
type LogonBy uint8

const (
	// byChance: the sender of the settings may still be typing. No such secret is used.
	byChance LogonBy = iota
	// OnPurpose: the secret is the stored connector's, or a reference, or the sender says that it is right.
	OnPurpose
	// ByOwner: a command checks the files of who called it. With each, and nothing is counted.
	ByOwner
)

const (
	// unprovenEvery is how often checks send a secret that was not taken yet, for each user at an origin.
	unprovenEvery = 10 * time.Minute
	// maxUnproven is how many of them they send before one was taken: SAP locks users after three failures.
	maxUnproven = 2
	// maxPlaces bounds the users at origins that are remembered.
	maxPlaces = 1000
)

// hashed is a keyed hash: of who logs on where, or of that with a secret.
type hashed [sha256.Size]byte

// logons keeps online checks from locking users: it remembers what they have shown where. Safe for use by several
// goroutines. It holds at all times:
//
//   - Of secrets, users and origins there are hashes alone, under a key that is made with it.
//   - There are at most maxPlaces. Those of which a secret was sent since one was taken, or within unprovenEvery, are
//     never forgotten: where there is no room, nothing is sent.
//   - Between two sendings of unproven secrets to a place there is unprovenEvery, but for those of one that ended
//     without a failure. After maxUnproven of them there is none before a secret was taken.
//   - One check at a time sends a secret that is not proven.
type logons struct {
	key []byte

	mu     sync.Mutex
	places map[hashed]*place
}

// place is a user at an origin.
type place struct {
	// sent is the secret that was sent last, at that time; sends counts those sent since one was taken.
	sent  hashed
	at    time.Time
	sends int
	// again: sent did not come to a failed logon, as far as it was answered: sending it once more adds none.
	again bool
}

func newLogons() *logons {
	l := &logons{key: make([]byte, sha256.Size), places: map[hashed]*place{}}
	rand.Read(l.key)
	return l
}

func (l *logons) hash(text string) (h hashed) {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(text))
	return hashed(mac.Sum(nil))
}

// trial is the leave to send a secret that is not proven. end must be called.
type trial struct {
	logons *logons
	who    transport.Logon
	place  *place
	before place // as it was before, for where nothing was sent

	turn guard.Turn  // the right to send a request
	sent atomic.Bool // maybe
	// over is why nothing more is sent.
	over error
}

// begin asks whether a check may log on. nil: it may, and needs no trial. why says why it may not.
func (l *logons) begin(who transport.Logon, by LogonBy) (t *trial, why string) {
	if !who.Needed() || by == ByOwner {
		return nil, ""
	}
	switch taken, refused := who.Judged(); {
	case taken || refused: // which is not sent
		return nil, ""
	case by == byChance:
		return nil, "the service has not taken this secret yet, and it is not stored"
	}
	at, secret := l.hash(who.Place()), l.hash(who.Place()+who.Secret())
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.places[at]
	if p == nil {
		if !l.room() {
			return nil, "too many users were tried by checks since this worker began"
		}
		p = &place{}
		l.places[at] = p
	}
	if who.LastTaken().After(p.at) {
		p.sends = 0
	}
	t = &trial{logons: l, who: who, place: p, before: *p, turn: guard.NewTurn()}
	switch next := p.at.Add(unprovenEvery); {
	case p.again && p.sent == secret:
		p.again = false
		return t, ""
	case p.sends >= maxUnproven:
		return nil, fmt.Sprintf("%d secrets of the user were tried by checks, and the service has taken none: a "+
			"third might lock the user. Checks go on when the service has taken one, of a connector say", p.sends)
	case time.Now().Before(next):
		return nil, fmt.Sprintf("checks have tried a secret of the user at %s, and try the next one after %v",
			p.at.Format(time.TimeOnly), unprovenEvery)
	}
	p.sent, p.at, p.again = secret, time.Now(), false
	p.sends++
	return t, ""
}

// room makes room for another place; l.mu is held.
func (l *logons) room() bool {
	if len(l.places) < maxPlaces {
		return true
	}
	for at, p := range l.places {
		if p.sends == 0 && time.Since(p.at) >= unprovenEvery {
			delete(l.places, at)
			return true
		}
	}
	return false
}

// end notes what came of a trial.
func (t *trial) end() {
	taken, refused := t.who.Judged()
	t.logons.mu.Lock()
	defer t.logons.mu.Unlock()
	p, before := t.place, t.before
	switch {
	case taken:
		p.sends = 0
	case !t.sent.Load():
		p.sent, p.at, p.sends, p.again = before.sent, before.at, before.sends, before.again
	default:
		p.again = t.over == nil && !refused
	}
}

// errUntried is the cause of a request that is not sent, since one before it in the check had no answer.
var errUntried = errors.New("logon not tried again: a request before this one had no answer, and may count as a " +
	"failed logon")

// exchange sends a request of a trial: one at a time, until the secret is proven; none after one that may count as a
// failed logon.
func (t *trial) exchange(ctx context.Context, client *transport.Client, r *wit.Request) (wit.Response, error) {
	if err := t.turn.Lock(ctx); err != nil {
		return wit.Response{}, err
	}
	release := t.turn.Unlock
	if taken, _ := t.who.Judged(); taken {
		release()
		return client.Exchange(ctx, r)
	}
	defer release()
	if t.over != nil {
		return wit.Response{}, t.over
	}
	var sent atomic.Bool
	sent.Store(t.who.ByToken()) // which is asked for unseen
	response, err := client.Exchange(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}), r)
	if sent.Load() {
		t.sent.Store(true)
	}
	if err != nil && sent.Load() {
		t.over = errUntried
	}
	return response, err
}
