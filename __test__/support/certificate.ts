/**
 * A self-signed certificate of localhost and 127.0.0.1, and its private key, which is none of any use elsewhere. It is no
 * authority: rustls takes none as the certificate of a server.
 */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBlzCCAT6gAwIBAgIUPCdcEQ6h9SkTkQSigx1teqa8urUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDEyNTI1MloYDzIxMjYxMTA2
MTI1MjUyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASTe4OMRIwgl1ASpg7NTq436ePFSjf6R4JVwqrz/OuoQ4BYH7QlSHb4
dkfrQw37EEMq3lcNSROhSkjJF/EcqdAyo2wwajAdBgNVHQ4EFgQUxLj+pjpOLCYx
ODhZ7LNJiXLrkhMwHwYDVR0jBBgwFoAUxLj+pjpOLCYxODhZ7LNJiXLrkhMwDAYD
VR0TAQH/BAIwADAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0E
AwIDRwAwRAIgLuGW7mxV/kp5QXtetr/CEVyqLb8rqyL8zJwaQ2WOuycCIA2mNRe3
UR+RGdSmNpu5e7iaLTwbOuewZtKtuHMkph3A
-----END CERTIFICATE-----
`

/** See {@link CERTIFICATE}. */
export const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUhhqSkwgN+dfdmGk
SebtDzQBx7Vxir+vzzcjLa0Wr8+hRANCAASTe4OMRIwgl1ASpg7NTq436ePFSjf6
R4JVwqrz/OuoQ4BYH7QlSHb4dkfrQw37EEMq3lcNSROhSkjJF/EcqdAy
-----END PRIVATE KEY-----
`
