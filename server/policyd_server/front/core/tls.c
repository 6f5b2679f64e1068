/* TLS from files that are followed: each handshake uses their content at that time. */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static void stamp(const char *path, int64_t *into) {
    struct stat found;
    into[0] = into[1] = into[2] = 0;
    if (path == NULL || stat(path, &found) != 0) return;
    into[0] = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    into[1] = (int64_t)found.st_size;
    into[2] = (int64_t)found.st_ino;
}

static void stamps(const front_tls_files *files, int64_t *into) {
    stamp(files->certificate, into);
    stamp(files->key, into + 3);
    stamp(files->authority, into + 6);
}

static int choose_protocol(SSL *tls, const unsigned char **out, unsigned char *size, const unsigned char *in,
                           unsigned int in_size, void *context) {
    (void)tls, (void)context;
    static const unsigned char h2[] = {2, 'h', '2'};
    unsigned char *found;
    if (SSL_select_next_proto(&found, size, h2, sizeof h2, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

static bool demand_certificates(SSL_CTX *made, const char *authority) {
    if (SSL_CTX_load_verify_locations(made, authority, NULL) != 1) return false;
    SSL_CTX_set_client_CA_list(made, SSL_load_client_CA_file(authority));
    SSL_CTX_set_verify(made, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    /* Resumed sessions keep the certificate that was verified. */
    return SSL_CTX_set_session_id_context(made, (const unsigned char *)"policyd", 7) == 1;
}

static SSL_CTX *made_of(const front_tls_files *files) {
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (made == NULL) return NULL;
    SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                  SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(made, 1); /* reads a record with one system call instead of two */
    SSL_CTX_set_alpn_select_cb(made, choose_protocol, NULL);
    bool good = SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION) == 1 &&
                SSL_CTX_set_cipher_list(made, TLS12_CIPHERS) == 1 &&
                SSL_CTX_use_certificate_chain_file(made, files->certificate) == 1 &&
                SSL_CTX_use_PrivateKey_file(made, files->key, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_check_private_key(made) == 1 &&
                (files->authority == NULL || demand_certificates(made, files->authority));
    if (good) return made;
    SSL_CTX_free(made);
    return NULL;
}

static int load(front *f, const front_tls_files *files) {
    ERR_clear_error();
    SSL_CTX *made = made_of(files);
    if (made == NULL) {
        ERR_error_string_n(ERR_peek_error(), f->tls_error, sizeof f->tls_error);
        return -1;
    }
    SSL_CTX_free(f->tls);
    f->tls = made;
    return 0;
}

int front_use_tls(front *f, const front_tls_files *files) {
    if (load(f, files) != 0) return -1;
    f->tls_files.certificate = strdup(files->certificate);
    f->tls_files.key = strdup(files->key);
    f->tls_files.authority = files->authority ? strdup(files->authority) : NULL;
    stamps(&f->tls_files, f->tls_stamps);
    return 0;
}

const char *front_tls_error(front *f) { return f->tls_error; }

static void follow(front *f) {
    int64_t now[9];
    stamps(&f->tls_files, now);
    if (memcmp(now, f->tls_stamps, sizeof now) == 0) return;
    if (load(f, &f->tls_files) == 0) {
        memcpy(f->tls_stamps, now, sizeof now);
        front_tell(f, FRONT_RENEWED, NULL, 0);
    } else {
        front_tell(f, FRONT_BAD_CERTIFICATE, NULL, 0);
    }
}

SSL *tls_accept(front *f, int descriptor) {
    follow(f);
    SSL *tls = SSL_new(f->tls);
    if (tls == NULL || SSL_set_fd(tls, descriptor) != 1) {
        SSL_free(tls);
        return NULL;
    }
    if (f->connection_count >= KEPT_BUFFERS) SSL_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_accept_state(tls);
    return tls;
}

bool tls_speaks_h2(SSL *tls) {
    const unsigned char *chosen;
    unsigned int size;
    SSL_get0_alpn_selected(tls, &chosen, &size);
    return size == 2 && memcmp(chosen, "h2", 2) == 0;
}

void tls_common_name(SSL *tls, char *into, size_t room) {
    into[0] = 0;
    X509 *shown = SSL_get1_peer_certificate(tls);
    if (shown == NULL) return;
    X509_NAME *subject = X509_get_subject_name(shown);
    int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    if (place >= 0) {
        int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
        /* A name is ignored if it does not fit, or has characters that no header may have. */
        bool plain = size > 0 && (size_t)size < room;
        for (int at = 0; plain && at < size; at++) plain = text[at] >= 0x20 && text[at] != 0x7F;
        if (plain) {
            memcpy(into, text, (size_t)size);
            into[size] = 0;
        }
        if (size >= 0) OPENSSL_free(text);
    }
    X509_free(shown);
}
