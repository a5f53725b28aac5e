"""
TLS around associations, on either side (PS3.15 Annex B).

`profiles` says what may be negotiated and `settings` what users have chosen; `context` reads the files that they name
and prepares OpenSSL, `connection` puts it around the associations, and `binding` lets certificates vouch for AE titles.
The last three need pyOpenSSL, which takes its time to load, so they are imported only where TLS is on.
"""
