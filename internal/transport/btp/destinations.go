package btp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Destinations finds destinations by name and keeps them for a while. Safe for use by several goroutines; it has none
// of its own.
type Destinations struct {
	binding DestinationService
	service *serviceClient
	base    string

	mu    sync.Mutex
	cache map[string]*cachedValue[Destination]
}

const (
	// destinationLifetime is how long a destination is kept. SAP advises 3 to 5 min: what is changed in the cockpit
	// counts soon, and a service that limits its callers is asked seldom, however many requests a connector makes.
	destinationLifetime = 4 * time.Minute
	// maxOutage is how long a destination is used on while the service does not answer.
	maxOutage = time.Hour
	// failureInterval is the pause after a service did not answer despite retries, or refused the binding once.
	failureInterval = 10 * time.Second
)

// NewDestinations checks the binding; nothing is asked for yet. Of the options, Verbatim, InHeader and Scope do not
// apply.
func NewDestinations(d DestinationService, o TokenOptions) (*Destinations, error) {
	base, err := serviceURL(d.URI, "destination-configuration/v1/destinations/", "uri", d.Origin)
	if err != nil {
		return nil, err
	}
	service, err := newServiceClient("destination service", d.Credentials, o)
	if err != nil {
		return nil, err
	}
	return &Destinations{binding: d, service: service, base: base, cache: map[string]*cachedValue[Destination]{}}, nil
}

// Find is the destination of that name, at most 4 minutes old, its token valid. Cheap enough to be called for each
// request. When the service does not answer, a destination that was found before is used for an hour more, as long as
// its token is valid. Errors are *Failure.
func (d *Destinations) Find(ctx context.Context, name string) (Destination, error) {
	return d.cached(name).get(ctx, noneUnwanted)
}

// Renew is Find for one whose token was refused, as it stood in DeliveredToken.Value: it holds another one.
func (d *Destinations) Renew(ctx context.Context, name, refused string) (Destination, error) {
	return d.cached(name).get(ctx, func(t Destination) bool { return t.Token != nil && t.Token.Value == refused })
}

// Forget makes the next Find ask again, as when a password of a destination was refused and may have been changed
// since.
func (d *Destinations) Forget(name string) { d.cached(name).forget() }

func (d *Destinations) cached(name string) *cachedValue[Destination] {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.cache[name]
	if k == nil {
		k = &cachedValue[Destination]{
			clock:         d.service.options.Clock,
			retryInterval: failureInterval,
			request: func(ctx context.Context, patient bool) (cacheEntry[Destination], error) {
				return d.request(ctx, name, patient)
			},
			keepOnError: func(err error, left time.Duration) bool { return d.keepOnError(name, err, left) },
			sameValueError: func() error {
				return &Failure{Kind: Unauthorized, text: fmt.Sprintf("destination %s: the destination service "+
					"delivers again the token that was refused", name)}
			},
		}
		k.init()
		d.cache[name] = k
	}
	return k
}

func (d *Destinations) request(ctx context.Context, name string, patient bool) (cacheEntry[Destination], error) {
	if name == "" {
		return cacheEntry[Destination]{}, &Failure{Kind: Misconfigured, text: "destination: expected a name"}
	}
	body, err := d.service.get(ctx, d.base+url.PathEscape(name), patient)
	if err != nil {
		return cacheEntry[Destination]{}, d.explain(name, err)
	}
	now := d.service.options.Clock()
	t, err := parseDestination(name, body, now)
	if err != nil {
		return cacheEntry[Destination]{}, err
	}
	g := cacheEntry[Destination]{value: t, renew: now.Add(destinationLifetime),
		expires: now.Add(destinationLifetime + maxOutage)}
	if t.Token != nil && !t.Token.Expires.IsZero() {
		if due := renewal(now, t.Token.Expires.Sub(now)); due.Before(g.renew) {
			g.renew = due
		}
		if t.Token.Expires.Before(g.expires) {
			g.expires = t.Token.Expires
		}
	}
	d.service.options.Logger.Debug("destination", "name", name, "url", t.URL, "authentication", t.Authentication,
		"proxy", t.ProxyType)
	return g, nil
}

// keepOnError keeps a destination while the service does not answer. One that is gone, or that the service refuses, is
// gone.
func (d *Destinations) keepOnError(name string, err error, left time.Duration) bool {
	failure, _ := errors.AsType[*Failure](err)
	stays := failure != nil && failure.Temporary()
	if stays {
		d.service.options.Logger.Warn("destination could not be read again, the old one serves on", "name", name, "for",
			left.Round(time.Second), "error", err)
	}
	return stays
}

// explain says for which levels a name was looked up, since that is what is mistaken most often.
func (d *Destinations) explain(name string, err error) error {
	if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != NotFound {
		return err
	}
	instance, subaccount := "the binding's service instance", "its subaccount"
	if d.binding.Instance != "" {
		instance = "the service instance " + d.binding.Instance
	}
	if d.binding.Subaccount != "" {
		subaccount = "the subaccount " + d.binding.Subaccount
	}
	return &Failure{Kind: NotFound, Setting: name, Status: http.StatusNotFound, err: err, text: fmt.Sprintf(
		"destination %q: found neither in %s nor in %s: make it in the cockpit, Connectivity > Destinations; names "+
			"are case-sensitive", name, instance, subaccount)}
}
