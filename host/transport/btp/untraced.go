package btp

import (
	"context"
	"net/http"
	"net/http/httptrace"
)

// untraced keeps from the hooks of a caller's request what becomes of ours: who asks for a token in the middle of a
// request would take the token service's news for news of that request, and count it as sent.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	v := u.Context.Value(key)
	if _, hooks := v.(*httptrace.ClientTrace); hooks {
		return nil
	}
	return v
}

// apart is the transport of requests that are nobody's but ours.
type apart struct{ next http.RoundTripper }

func (a apart) RoundTrip(r *http.Request) (*http.Response, error) {
	return a.next.RoundTrip(r.WithContext(untraced{r.Context()}))
}
