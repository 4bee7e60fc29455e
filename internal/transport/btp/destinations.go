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

// Destinations looks up destinations by name and caches them. Safe for concurrent use; it has no goroutines.
type Destinations struct {
	binding DestinationService
	service *serviceClient
	base    string

	mu    sync.Mutex
	cache map[string]*cachedValue[Destination]
}

const (
	// destinationLifetime is within SAP's advice of 3 to 5 minutes. maxOutage is how long it may be used
	// afterwards while the service does not respond. failureInterval is the pause after a failed request.
	destinationLifetime = 4 * time.Minute
	maxOutage           = time.Hour
	failureInterval     = 10 * time.Second
)

// NewDestinations validates the binding and sends nothing. The options Verbatim, InHeader and Scope do not apply.
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

// Find returns a destination, at most 4 minutes old, with a valid token. If the service does not respond, a known one
// stays in use for an hour. Errors are *Failure.
func (d *Destinations) Find(ctx context.Context, name string) (Destination, error) {
	return d.cacheFor(name).get(ctx, noneUnwanted)
}

// Renew is Find, but requests the destination again if its token is the refused DeliveredToken.Value.
func (d *Destinations) Renew(ctx context.Context, name, refused string) (Destination, error) {
	return d.cacheFor(name).get(ctx, func(found Destination) bool {
		return found.Token != nil && found.Token.Value == refused
	})
}

// Forget makes the next Find request the destination again, for example after a refused password.
func (d *Destinations) Forget(name string) { d.cacheFor(name).forget() }

// cacheFor returns the cache of a destination, and creates it if there is none.
func (d *Destinations) cacheFor(name string) *cachedValue[Destination] {
	d.mu.Lock()
	defer d.mu.Unlock()
	cached := d.cache[name]
	if cached == nil {
		cached = &cachedValue[Destination]{
			clock:         d.service.options.Clock,
			retryInterval: failureInterval,
			request: func(ctx context.Context, retry bool) (cacheEntry[Destination], error) {
				return d.request(ctx, name, retry)
			},
			keepOnError: func(err error, left time.Duration) bool { return d.keepOnError(name, err, left) },
			sameValueError: func() error {
				return &Failure{Kind: Unauthorized, text: fmt.Sprintf("destination %s: the destination service "+
					"returned the refused token again", name)}
			},
		}
		cached.init()
		d.cache[name] = cached
	}
	return cached
}

// request requests a destination. The entry expires with the token, or after destinationLifetime and maxOutage.
func (d *Destinations) request(ctx context.Context, name string, retry bool) (cacheEntry[Destination], error) {
	if name == "" {
		return cacheEntry[Destination]{}, &Failure{Kind: Misconfigured, text: "destination: expected a name"}
	}
	body, err := d.service.get(ctx, d.base+url.PathEscape(name), retry)
	if err != nil {
		return cacheEntry[Destination]{}, d.explain(name, err)
	}
	now := d.service.options.Clock()
	result, err := parseDestination(name, body, now)
	if err != nil {
		return cacheEntry[Destination]{}, err
	}
	entry := cacheEntry[Destination]{value: result, renew: now.Add(destinationLifetime),
		expires: now.Add(destinationLifetime + maxOutage)}
	if result.Token != nil && !result.Token.Expires.IsZero() {
		if due := renewal(now, result.Token.Expires.Sub(now)); due.Before(entry.renew) {
			entry.renew = due
		}
		if result.Token.Expires.Before(entry.expires) {
			entry.expires = result.Token.Expires
		}
	}
	d.service.options.Logger.Debug("destination", "name", name, "url", result.URL,
		"authentication", result.Authentication, "proxy", result.ProxyType)
	return entry, nil
}

// keepOnError keeps a destination only while the service does not respond.
func (d *Destinations) keepOnError(name string, err error, left time.Duration) bool {
	failure, _ := errors.AsType[*Failure](err)
	isKept := failure != nil && failure.Temporary()
	if isKept {
		d.service.options.Logger.Warn("destination could not be refreshed; the cached one stays in use", "name", name,
			"for", left.Round(time.Second), "error", err)
	}
	return isKept
}

// explain adds the searched levels to NotFound: looking at the wrong level is the most common mistake.
func (d *Destinations) explain(name string, err error) error {
	if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != NotFound {
		return err
	}
	instance := "the binding's service instance"
	subaccount := "its subaccount"
	if d.binding.Instance != "" {
		instance = "the service instance " + d.binding.Instance
	}
	if d.binding.Subaccount != "" {
		subaccount = "the subaccount " + d.binding.Subaccount
	}
	return &Failure{Kind: NotFound, Setting: name, Status: http.StatusNotFound, err: err, text: fmt.Sprintf(
		"destination %q: found neither in %s nor in %s: create it in the cockpit, Connectivity > Destinations; names "+
			"are case-sensitive", name, instance, subaccount)}
}
