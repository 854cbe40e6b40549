"""ETag and If-None-Match (RFC 9110, 13.1.2): who polls pays for what is new."""

from hashlib import blake2b

import falcon


class Validation:
    """Falcon middleware for resources that say `has_etag`.

    Weak tags, over the answer itself: it is made in any case, what is spared is its way. One tag
    stands for an answer and its gzip.
    """

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        resource: object,
        _succeeded: bool,
    ) -> None:
        body = response.data
        if (
            body is None
            or response.status_code != 200
            or request.method not in ("GET", "HEAD")
            or not getattr(resource, "has_etag", False)
        ):
            return
        etag = falcon.ETag(blake2b(body, digest_size=12).hexdigest())
        etag.is_weak = True
        response.etag = etag.dumps()
        known = request.if_none_match or []
        if "*" in known or etag in known:
            response.status = 304
            response.data = None
            response.content_type = None
            response.append_header("Vary", "Accept-Encoding")
